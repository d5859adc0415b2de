//! 7 · Secrets out of what comes back: an upstream that echoes the credential in a header does not show it to the caller.

use http::{HeaderMap, HeaderValue};
use keygress_policy::inject::Rendered;
use memchr::memmem;

/// Masks the injected bytes, at equal length, in every header. Returns how many values were touched.
pub fn headers(headers: &mut HeaderMap, rendered: &Rendered) -> usize {
    let mut touched = 0;
    for value in headers.values_mut() {
        for needle in rendered.needles() {
            if let Some(masked) = mask(value.as_bytes(), needle.expose()) {
                *value = masked;
                touched += 1;
            }
        }
    }
    touched
}

/// The value with every occurrence of the needle masked; `None` where there is none.
fn mask(value: &[u8], needle: &[u8]) -> Option<HeaderValue> {
    if needle.is_empty() || memmem::find(value, needle).is_none() {
        return None;
    }
    let mut masked = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memmem::find(rest, needle) {
        let (before, from) = rest.split_at(at);
        masked.extend_from_slice(before);
        masked.resize(masked.len() + needle.len(), b'*');
        rest = from.get(needle.len()..).unwrap_or_default();
    }
    masked.extend_from_slice(rest);
    // Stars cannot make a valid value invalid.
    Some(HeaderValue::from_bytes(&masked).unwrap_or_else(|_| HeaderValue::from_static("***")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_occurrence_is_masked_at_equal_length() {
        assert_eq!(mask(b"a=s3cr3t; b=s3cr3t!", b"s3cr3t").unwrap(), "a=******; b=******!");
        assert!(mask(b"nothing here", b"s3cr3t").is_none());
        assert!(mask(b"anything", b"").is_none());
    }
}
