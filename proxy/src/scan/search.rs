use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use keygress_policy::preset::shape::{Anchor, Proof, SHAPES, Shape};

use super::named::value_after;
use super::row::Sure;

/// The longest PEM block that is looked at, in bytes.
const PEM_BYTES_MAX: usize = 16 * 1024;

/// The shortest body of one, in characters of base64.
const PEM_BODY_MIN: usize = 64;

/// A key in a text.
pub(super) struct Hit {
    pub(super) shape: &'static Shape,
    /// Where it stands.
    pub(super) at: Range<usize>,
    pub(super) sure: Sure,
}

/// Every shape, compiled once for the process.
struct Compiled {
    /// Finds prefixes and middles.
    anchors: AhoCorasick,
    anchored: Vec<(&'static str, &'static Shape)>,
    /// Finds names of variables, in any case.
    names: AhoCorasick,
    /// The shapes that a value of each name may have.
    named: Vec<Vec<&'static Shape>>,
}

static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let mut anchored = Vec::new();
    let mut names: Vec<(&str, Vec<&Shape>)> = Vec::new();
    for shape in SHAPES {
        match shape.anchor {
            Anchor::Prefix(text) | Anchor::Middle { text, .. } | Anchor::Pem(text) => anchored.push((text, shape)),
            Anchor::Named(all) => {
                for name in all {
                    match names.iter_mut().find(|(known, _)| known == name) {
                        Some((_, shapes)) => shapes.push(shape),
                        None => names.push((name, vec![shape])),
                    }
                }
            }
        }
    }
    let build = |patterns: Vec<&str>, any_case: bool| {
        #[expect(clippy::expect_used, reason = "the patterns are our own and few: a test builds them")]
        AhoCorasickBuilder::new().ascii_case_insensitive(any_case).build(patterns).expect("the shapes are few")
    };
    Compiled {
        anchors: build(anchored.iter().map(|(text, _)| *text).collect(), false),
        names: build(names.iter().map(|(name, _)| *name).collect(), true),
        anchored,
        named: names.into_iter().map(|(_, shapes)| shapes).collect(),
    }
});

/// Every key in a text, in order; where two overlap, the one that begins first, and of these the one with the longer prefix.
pub(super) fn find(text: &[u8]) -> Vec<Hit> {
    let mut hits: Vec<(usize, Hit)> = Vec::new();
    for found in COMPILED.anchors.find_overlapping_iter(text) {
        let Some((anchor, shape)) = COMPILED.anchored.get(found.pattern().as_usize()) else { continue };
        if let Some(at) = anchored(shape, text, found.start(), found.end())
            && let Some(value) = text.get(at.clone())
            && (matches!(shape.anchor, Anchor::Pem(_)) || shape.is_proven(value))
        {
            let sure = if shape.proof == Proof::Shape { Sure::Shape } else { Sure::Proven };
            hits.push((anchor.len(), Hit { shape, at, sure }));
        }
    }
    for found in COMPILED.names.find_overlapping_iter(text) {
        for shape in COMPILED.named.get(found.pattern().as_usize()).into_iter().flatten() {
            if let Some(at) = value_after(shape, text, found.start(), found.end())
                && text.get(at.clone()).is_some_and(|value| shape.is_proven(value) && is_mixed(value))
            {
                hits.push((0, Hit { shape, at, sure: Sure::Name }));
            }
        }
    }
    hits.sort_by_key(|(prefix, hit)| (hit.at.start, std::cmp::Reverse(*prefix)));
    let mut end = 0;
    let mut kept = Vec::new();
    for (_, hit) in hits {
        if hit.at.start >= end {
            end = hit.at.end;
            kept.push(hit);
        }
    }
    kept
}

/// Where the key stands whose anchor stands here.
fn anchored(shape: &Shape, text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    match shape.anchor {
        Anchor::Prefix(_) => {
            let length = shape.reads(text.get(end..)?)?;
            begins(text, start).then_some(start..end + length)
        }
        Anchor::Middle { before, .. } => {
            let head = text.get(..start)?;
            let length = head.iter().rev().take(before.most + 1).take_while(|byte| before.alphabet.has(**byte)).count();
            if !(before.least..=before.most).contains(&length) {
                return None;
            }
            let first = start - length;
            let length = shape.reads(text.get(end..)?)?;
            begins(text, first).then_some(first..end + length)
        }
        Anchor::Pem(_) => pem(text, end),
        Anchor::Named(_) => None,
    }
}

/// Whether a word begins here: what stands before is none of its characters, unless that is the end of an escape.
fn begins(text: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| text.get(at)).copied();
    let Some(last) = before(1) else { return true };
    let is_escape = before(2) == Some(b'\\') && matches!(last, b'n' | b'r' | b't')
        || before(3) == Some(b'%') && last.is_ascii_hexdigit() && before(2).is_some_and(|digit| digit.is_ascii_hexdigit());
    is_escape || !(last.is_ascii_alphanumeric() || last == b'_')
}

/// The body of a PEM block that is not encrypted.
fn pem(text: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = text.get(start..text.len().min(start + PEM_BYTES_MAX))?;
    let end = memchr::memmem::find(rest, b"-----END ")?;
    let body = pem_body(rest.get(..end)?);
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    (body.len() >= PEM_BODY_MIN && body.iter().all(is_base64)).then_some(start..start + end)
}

/// What stands between the lines of a PEM block, without space and line ends, also where these are escaped as JSON has them.
pub(super) fn pem_body(block: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(block.len());
    let mut bytes = block.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            bytes.next_if(|next| matches!(next, b'n' | b'r'));
        } else if !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'') {
            body.push(byte);
        }
    }
    body
}

/// Digits and letters: no word, no name of another variable.
fn is_mixed(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic)
}
