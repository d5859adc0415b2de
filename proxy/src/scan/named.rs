use std::ops::Range;

use keygress_policy::preset::shape::Shape;

/// How much may stand between a name and its value, in bytes.
const GAP_MAX: usize = 96;

/// Words that put a name and a value on one line with nothing but a space between.
const SPACED: [&[u8]; 5] = [b"ENV", b"ARG", b"export", b"setenv", b"set"];

/// Where the value of the variable stands whose name stands here, where it is of this shape. Takes the ways of shells, environment files,
/// YAML, JSON, TOML, Dockerfiles and most languages, and lists of `name` and `value` as Kubernetes, ECS and compose files have them.
pub(super) fn value_after(shape: &Shape, text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    if before.is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let rest = text.get(end..text.len().min(end + GAP_MAX))?;
    let gap = assigned(rest).or_else(|| paired(rest)).or_else(|| spaced(text, start, rest))?;
    let at = end + gap;
    let length = shape.reads(text.get(at..)?)?;
    Some(at..at + length)
}

/// `NAME=`, `"NAME": "`, `NAME := '`, `'NAME' => `: how long it is from the end of the name to the value.
fn assigned(rest: &[u8]) -> Option<usize> {
    let at = blank(rest, quote(rest, 0));
    let sign =
        [b":=".as_slice(), b"=>", b"==", b"=", b":"].into_iter().find(|sign| rest.get(at..).is_some_and(|rest| rest.starts_with(sign)))?;
    Some(quote(rest, blank(rest, at + sign.len())))
}

/// `NAME", "value": "`, and the same in YAML on the next line.
fn paired(rest: &[u8]) -> Option<usize> {
    let mut at = quote(rest, 0);
    if rest.get(at) == Some(&b',') {
        at += 1;
    }
    at += rest.get(at..)?.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    at = quote(rest, at);
    if !rest.get(at..at + 5)?.eq_ignore_ascii_case(b"value") {
        return None;
    }
    assigned(rest.get(at + 5..)?).map(|gap| at + 5 + gap)
}

/// `ENV NAME value`.
fn spaced(text: &[u8], start: usize, rest: &[u8]) -> Option<usize> {
    let head = text.get(..start)?;
    let line = head.rsplit(|byte| *byte == b'\n').next()?.trim_ascii();
    let gap = blank(rest, 0);
    (gap > 0 && SPACED.iter().any(|word| line.eq_ignore_ascii_case(word))).then(|| quote(rest, gap))
}

/// Behind one quotation mark, escaped or not, where there is one.
fn quote(rest: &[u8], at: usize) -> usize {
    let at = if rest.get(at) == Some(&b'\\') { at + 1 } else { at };
    if matches!(rest.get(at), Some(b'"' | b'\'' | b'`')) { at + 1 } else { at }
}

/// Behind spaces and tabs.
fn blank(rest: &[u8], at: usize) -> usize {
    at + rest.get(at..).unwrap_or_default().iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}
