use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields of W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The length of a `traceparent` of version 00, in bytes.
const LENGTH: usize = 55;

/// The flags that are known: sampled, and that the trace id is random.
const SAMPLED: u8 = 1;
const KNOWN: u8 = 3;

/// Names one span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: [u8; 16],
    /// The span in it.
    pub span: [u8; 8],
    flags: u8,
}

impl Context {
    /// The first span of a trace that is recorded.
    #[must_use]
    pub fn root(trace: [u8; 16], span: [u8; 8]) -> Self {
        Self { trace, span, flags: KNOWN }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn with_span(self, span: [u8; 8]) -> Self {
        Self { span, ..self }
    }

    /// Whether who began it records it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The context that came with a request. What is none, or more than one, is taken away, and its `tracestate` with it.
    pub fn take(headers: &mut HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(TRACEPARENT).iter();
        let (first, second) = (fields.next(), fields.next());
        let found = first.filter(|_| second.is_none()).and_then(|value| Self::parse(value.as_bytes()));
        if found.is_none() && (first.is_some() || headers.contains_key(TRACESTATE)) {
            headers.remove(TRACEPARENT);
            headers.remove(TRACESTATE);
        }
        found
    }

    /// Reads a `traceparent`: of version 00, or of a later one as far as it is known.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let [b'-', b'-', b'-'] = [*known.get(2)?, *known.get(35)?, *known.get(52)?] else { return None };
        let [version] = hex(known.get(..2)?)?;
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let (trace, span, [flags]) = (hex(known.get(3..35)?)?, hex(known.get(36..52)?)?, hex(known.get(53..)?)?);
        (is_whole && trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, flags: flags & KNOWN })
    }

    /// Writes it as the field of a request.
    pub fn put(&self, headers: &mut HeaderMap) {
        let text = format!("00-{}-{}-{:02x}", digits(&self.trace), digits(&self.span), self.flags);
        // Digits and hyphens are always a header.
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// What vendors keep beside it, as it came.
    #[must_use]
    pub fn state(headers: &HeaderMap) -> Option<String> {
        let values: Vec<_> = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

/// Bytes in hexadecimal.
pub(super) fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // To a text it can always be written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads lower-case hexadecimal; the standard knows no other.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let half = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = half(*high)? << 4 | half(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_context_reads_back_as_it_was_written() {
        let context = Context::parse(GOOD.as_bytes()).unwrap();
        assert!(context.is_sampled());
        let mut written = HeaderMap::new();
        context.put(&mut written);
        assert_eq!(written["traceparent"], GOOD);
        // A later version may say more; what is sent on is of ours.
        let later = Context::parse(b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fd-more").unwrap();
        later.put(&mut written);
        assert_eq!((written.len(), &written["traceparent"]), (1, &HeaderValue::from_static(GOOD)));
    }

    #[test]
    fn what_is_no_context_is_taken_away_with_its_state() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let mut found = headers(&[("traceparent", wrong), ("tracestate", "a=b"), ("accept", "*/*")]);
            assert_eq!(Context::take(&mut found), None, "{wrong}");
            assert_eq!(found.len(), 1, "{wrong}");
        }
        let mut twice = HeaderMap::new();
        twice.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        twice.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        assert_eq!((Context::take(&mut twice), twice.len()), (None, 0));
        let mut alone = headers(&[("tracestate", "a=b")]);
        assert_eq!((Context::take(&mut alone), alone.len()), (None, 0), "it means nothing by itself");
    }

    #[test]
    fn what_is_good_stays_with_its_state() {
        let mut good = headers(&[("traceparent", GOOD), ("tracestate", "a=b,c=d")]);
        assert!(Context::take(&mut good).is_some());
        assert_eq!((good.len(), Context::state(&good).as_deref()), (2, Some("a=b,c=d")));
    }
}
