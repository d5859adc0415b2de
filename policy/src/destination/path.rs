use std::cmp::Ordering;

/// Whether an encoded slash may stay inside a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlashInSegment {
    /// It makes the path ambiguous.
    Ambiguous,
    /// `encoded_slash: opaque`: it is a byte of its segment.
    Opaque,
}

/// Says what makes a path ambiguous (`..`, `%2F`, `//`, …), where anything does.
#[must_use]
pub fn path_ambiguity(path: &str) -> Option<&'static str> {
    path_problem(path, SlashInSegment::Ambiguous)
}

/// As [`path_ambiguity`], for a host whose rules may let an encoded slash be.
pub(crate) fn path_problem(path: &str, slash: SlashInSegment) -> Option<&'static str> {
    if is_plain(path.as_bytes()) {
        return None;
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Some("the path does not begin with a slash");
    };
    if let Some(problem) = path.bytes().find_map(raw_problem) {
        return Some(problem);
    }
    if rest.starts_with('/') || path.contains("//") {
        return Some("the path has an empty segment");
    }
    // Behind an opaque slash too: who decodes it must not find a way up.
    let mut parts = segments(path).flat_map(|segment| segment.split("%2F")).flat_map(|part| part.split("%2f"));
    if parts.any(|part| part == "." || part == "..") {
        return Some("the path has a dot segment");
    }
    if path.contains('%') { escape_problem(path.as_bytes(), slash) } else { None }
}

/// Whether a path holds nothing that needs a second look: one pass for nearly all of them.
fn is_plain(path: &[u8]) -> bool {
    let mut before = b'.';
    path.first() == Some(&b'/')
        && path.iter().all(|&byte| {
            let plain = match byte {
                b'/' | b'.' => before != b'/',
                b'%' => false,
                _ => raw_problem(byte).is_none(),
            };
            before = byte;
            plain
        })
}

fn raw_problem(byte: u8) -> Option<&'static str> {
    match byte {
        b'\\' => Some("the path holds a backslash"),
        b';' => Some("the path holds a semicolon"),
        b'?' | b'#' => Some("the path holds a query or fragment mark"),
        0..=0x20 | 0x7f => Some("the path holds a space or a control character"),
        0x80.. => Some("the path holds a character that is not ASCII"),
        _ => None,
    }
}

/// Walks the percent escapes: what is wrong with one of them, or with the UTF-8 that they spell.
fn escape_problem(path: &[u8], slash: SlashInSegment) -> Option<&'static str> {
    let mut rest = path;
    let mut sequence = Utf8Sequence::default();
    while let Some((byte, escaped, tail)) = next_byte(rest) {
        if escaped && let Some(problem) = escaped_problem(byte, tail, slash) {
            return Some(problem);
        }
        if byte == b'%' && !escaped {
            return Some("the path holds a percent sign without two hexadecimal digits");
        }
        if !sequence.accepts(byte) {
            return Some("the path does not spell UTF-8");
        }
        rest = tail;
    }
    if sequence.is_whole() { None } else { Some("the path does not spell UTF-8") }
}

fn escaped_problem(byte: u8, tail: &[u8], slash: SlashInSegment) -> Option<&'static str> {
    match byte {
        b'/' if slash == SlashInSegment::Ambiguous => Some("the path holds an encoded slash"),
        b'.' => Some("the path holds an encoded dot"),
        b'\\' => Some("the path holds an encoded backslash"),
        b';' => Some("the path holds an encoded semicolon"),
        0..0x20 | 0x7f => Some("the path holds an encoded control character"),
        b'%' if spells_an_escape(tail) => Some("the path is encoded twice"),
        _ => None,
    }
}

/// Whether two hexadecimal digits come next once escapes are taken off: behind a percent sign who decodes again reads an escape, however
/// its digits were spelled.
fn spells_an_escape(tail: &[u8]) -> bool {
    let digit = |path| next_byte(path).filter(|(byte, _, _)| byte.is_ascii_hexdigit()).map(|(_, _, rest)| rest);
    digit(tail).and_then(digit).is_some()
}

/// The next byte that a path spells, whether it was escaped, and what follows. A percent sign without digits stands for itself.
fn next_byte(path: &[u8]) -> Option<(u8, bool, &[u8])> {
    match path {
        [b'%', high, low, tail @ ..] => match (hexadecimal(*high), hexadecimal(*low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, true, tail)),
            _ => path.split_first().map(|(byte, tail)| (*byte, false, tail)),
        },
        [byte, tail @ ..] => Some((*byte, false, tail)),
        [] => None,
    }
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The bytes of one UTF-8 sequence so far: overlong forms and surrogates are found by the standard library.
#[derive(Default)]
struct Utf8Sequence {
    bytes: [u8; 4],
    len: usize,
}

impl Utf8Sequence {
    fn accepts(&mut self, byte: u8) -> bool {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
        match std::str::from_utf8(self.bytes.get(..self.len).unwrap_or_default()) {
            Ok(_) => {
                self.len = 0;
                true
            }
            // No error length: the sequence is only unfinished.
            Err(error) => error.error_len().is_none(),
        }
    }

    fn is_whole(&self) -> bool {
        self.len == 0
    }
}

/// The segments of a path, as they are written; `/` has none.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let count = if rest.is_empty() { 0 } else { usize::MAX };
    rest.split('/').take(count)
}

/// Compares a decoded literal with a segment as it is written: escapes compare as the bytes that they spell.
pub(crate) fn compare_segment(literal: &[u8], segment: &str) -> Ordering {
    if segment.contains('%') { literal.iter().copied().cmp(decoded(segment.as_bytes())) } else { literal.cmp(segment.as_bytes()) }
}

/// The bytes that a segment spells.
pub(crate) fn decoded(segment: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = segment;
    std::iter::from_fn(move || {
        let (byte, _, tail) = next_byte(rest)?;
        rest = tail;
        Some(byte)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_row_of_the_table_is_ambiguous() {
        for path in [
            "",
            "a",
            "*",
            "/..",
            "/a/../b",
            "/./a",
            "/a/.",
            "/%2e",
            "/%2E%2e/a",
            "/a%2ejson",
            "/a%2Fb",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/a;b",
            "/a%3Bb",
            "/a%00",
            "/a%0d%0a",
            "/a%7f",
            "/%zz",
            "/%",
            "/%2",
            "/a%2",
            "/%252e",
            "/%252F",
            "/%252%66",
            "/%25%32f",
            "/%25%32%65%25%32%65/a",
            "/%C0%AE",
            "/%c0%af",
            "/%E0%80%AF",
            "/%ED%A0%80",
            "/%ff",
            "/%E2%82",
            "/%E2a",
            "/a b",
            "/a\u{7f}",
            "/é",
            "/a?b",
            "/a#b",
        ] {
            assert!(path_ambiguity(path).is_some(), "`{path}` was accepted");
        }
    }

    #[test]
    fn plain_paths_are_not_ambiguous() {
        for path in
            ["/", "/a", "/a/", "/a/b.c/..d/...", "/caf%C3%A9", "/%E2%82%AC", "/a%20b", "/100%25", "/a%25g", "/~u/a:b@c,d+e=f", "/%41"]
        {
            assert_eq!(path_ambiguity(path), None, "`{path}`");
        }
    }

    #[test]
    fn an_opaque_slash_is_a_byte_of_its_segment() {
        assert_eq!(path_problem("/a%2Fb/c", SlashInSegment::Opaque), None);
        for path in ["/a%2F..%2fb", "/a/..%2Fb", "/a%2F.", "/a%2F%2e%2e", "/a%2F/../c"] {
            assert!(path_problem(path, SlashInSegment::Opaque).is_some(), "{path}");
        }
        assert!(path_problem("/a%252Fb", SlashInSegment::Opaque).is_some());
    }

    #[test]
    fn an_escape_compares_as_what_it_spells() {
        assert_eq!(compare_segment(b"secret", "s%65cret"), Ordering::Equal);
        assert_eq!(compare_segment("é".as_bytes(), "%c3%a9"), Ordering::Equal);
        assert_eq!(compare_segment(b"secret", "s%66cret"), Ordering::Less);
        assert_eq!(segments("/").count(), 0);
        assert_eq!(segments("/a/").collect::<Vec<_>>(), ["a", ""]);
    }

    proptest! {
        #[test]
        fn the_short_look_never_passes_what_the_long_one_refuses(path in "[/a.%;]{0,8}|/[a-z./%0-9A-F;\\\\]{0,12}") {
            let long = path.bytes().all(|byte| raw_problem(byte).is_none()) && path.starts_with('/') && !path.contains("//") && !path.contains('%') && segments(&path).all(|segment| segment != "." && segment != "..");
            prop_assert!(!is_plain(path.as_bytes()) || long, "{}", path);
        }

        #[test]
        fn an_accepted_path_spells_no_other_structure(path in "/[a-z./%0-9A-F;\\\\]{0,12}") {
            if path_ambiguity(&path).is_none() {
                let spelt: Vec<u8> = decoded(path.as_bytes()).collect();
                let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
                prop_assert_eq!(slashes(&spelt), slashes(path.as_bytes()));
                let spelt = String::from_utf8(spelt).unwrap();
                prop_assert!(spelt.split('/').all(|segment| segment != "." && segment != ".."), "{}", spelt);
            }
        }
    }
}
