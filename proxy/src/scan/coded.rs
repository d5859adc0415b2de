use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use memchr::memmem;
use zeroize::Zeroizing;

/// The shortest text in base64 that is taken apart, in characters.
const RUN_MIN: usize = 16;

/// How often what was taken apart is taken apart again: a Secret holds the logins of a registry, and these are coded themselves.
const DEPTH_MAX: usize = 2;

/// A text that stood in another in base64.
pub(super) struct Decoded {
    /// Where it stood.
    pub(super) at: usize,
    /// `NAME=` and the text, so that what has no shape of its own is known by its name.
    pub(super) text: Zeroizing<Vec<u8>>,
}

/// What stands in base64 in a text that says of itself that it holds such: a Kubernetes Secret, or the logins of a registry.
pub(super) fn decoded(text: &[u8]) -> Vec<Decoded> {
    let mut found = Vec::new();
    take(text, 0, 0, &mut found);
    found
}

fn take(text: &[u8], outer: usize, depth: usize, found: &mut Vec<Decoded>) {
    if depth >= DEPTH_MAX || !says_so(text) {
        return;
    }
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = rest.iter().take_while(|byte| is_code(**byte)).count();
        if length < RUN_MIN {
            at += length.max(1);
            continue;
        }
        let name = name_before(text, at);
        let (code, end) = folded(text, at, length);
        if let Some(plain) = plain(&code) {
            let mut named = Zeroizing::new(name.to_vec());
            named.push(b'=');
            named.extend_from_slice(&plain);
            let place = if depth == 0 { at } else { outer };
            take(&plain, place, depth + 1, found);
            found.push(Decoded { at: place, text: named });
        }
        at = end;
    }
}

/// Whether a text is one of a kind that holds base64.
fn says_so(text: &[u8]) -> bool {
    let of_kind = |at: usize| {
        let rest = text.get(at + 4..text.len().min(at + 24)).unwrap_or_default();
        let rest: Vec<u8> = rest.iter().copied().filter(|byte| !matches!(byte, b'"' | b'\'' | b' ' | b'\\')).collect();
        rest.starts_with(b":Secret") && !rest.get(7).is_some_and(u8::is_ascii_alphanumeric)
    };
    memmem::find_iter(text, b"kind").any(of_kind) || memmem::find(text, b"\"auth\"").is_some()
}

/// A text of several lines under `|` or `>` is one.
fn folded(text: &[u8], at: usize, length: usize) -> (Zeroizing<Vec<u8>>, usize) {
    let mut code = Zeroizing::new(text.get(at..at + length).unwrap_or_default().to_vec());
    let mut end = at + length;
    let head = text.get(..at).unwrap_or_default().trim_ascii_end();
    if !(head.ends_with(b"|") || head.ends_with(b">") || head.ends_with(b"|-") || head.ends_with(b">-")) {
        return (code, end);
    }
    while let Some(rest) = text.get(end..) {
        let gap = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let line = rest.get(gap..).unwrap_or_default();
        let length = line.iter().take_while(|byte| is_code(**byte)).count();
        let ends = line.get(length).is_none_or(|byte| matches!(byte, b'\n' | b'\r'));
        if gap == 0 || length == 0 || !ends {
            break;
        }
        code.extend_from_slice(line.get(..length).unwrap_or_default());
        end += gap + length;
    }
    (code, end)
}

fn is_code(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// The text, where it is one.
fn plain(code: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let plain = STANDARD.decode(code).or_else(|_| STANDARD_NO_PAD.decode(code)).ok().map(Zeroizing::new)?;
    std::str::from_utf8(&plain).is_ok_and(|text| !text.contains('\0')).then_some(plain)
}

/// The name that a value stands behind: `NAME: `, `"NAME": "`, `NAME: |`.
fn name_before(text: &[u8], at: usize) -> &[u8] {
    let head = text.get(..at).unwrap_or_default();
    let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' | b':' | b'|' | b'>' | b'-' | b'=' | b'\\');
    let end = head.iter().rposition(|byte| !is_between(byte)).map_or(0, |at| at + 1);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let start = head.get(..end).and_then(|head| head.iter().rposition(|byte| !is_name(byte))).map_or(0, |at| at + 1);
    head.get(start..end).unwrap_or_default()
}
