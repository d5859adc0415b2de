//! One form: the value itself, or its hexadecimal or base64 digits; each in whatever mix of percent and JSON escapes.

use std::sync::Arc;

use keygress_policy::material::Secret;

use super::head::{self, HEAD_BYTES, Head};

/// How a value is written. Compared character by character, so that nothing but the value itself is kept.
#[derive(Clone)]
pub(super) struct Form {
    value: Arc<Secret>,
    digits: Digits,
}

/// What the characters of a form are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    /// The bytes themselves.
    Plain(Escapes),
    /// Two hexadecimal digits a byte, in either case.
    Hex,
    /// Base64, standard or URL-safe, where this many bytes (0, 1 or 2) stand before the value in its group of three. The characters
    /// that hold bits of a neighbour are left out: they are not known.
    Base64 { before: u8 },
}

/// Which escapes may stand for a byte of the value. Where the value itself holds `%` or `\`, an escape can be read in two ways, and
/// each reading is a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escapes {
    Both,
    Percent,
    Backslash,
    Neither,
}

/// Whether bytes are a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The first so many bytes are.
    Whole(usize),
    /// All of them are, and more must follow.
    Begun,
    /// They are not.
    Not,
}

/// What the bytes at a character of the form are.
enum Step {
    /// So many bytes spell so many characters.
    Took { bytes: usize, characters: usize },
    /// The bytes end inside its spelling.
    Ended,
    /// Something else.
    Other,
}

impl Form {
    /// Every form of a value.
    pub(super) fn all(value: Arc<Secret>) -> Vec<Self> {
        let ambiguous = value.expose().iter().any(|byte| matches!(byte, b'%' | b'\\'));
        let readings: &[Escapes] = if ambiguous { &[Escapes::Percent, Escapes::Backslash, Escapes::Neither] } else { &[] };
        let plain = [Escapes::Both].iter().chain(readings).map(|escapes| Digits::Plain(*escapes));
        let base64 = [0, 1, 2].map(|before| Digits::Base64 { before });
        let digits = plain.chain([Digits::Hex]).chain(base64);
        digits.map(|digits| Self { value: Arc::clone(&value), digits }).collect()
    }

    /// Every way in which it may begin.
    pub(super) fn heads(&self) -> Vec<Head> {
        let first: Vec<u8> = (0..HEAD_BYTES).map_while(|index| self.character(index)).collect();
        match self.digits {
            Digits::Plain(_) => head::of_text(self.value.expose()),
            Digits::Hex => head::of_digits(&[first.to_ascii_uppercase(), first]),
            Digits::Base64 { .. } => head::of_digits(&[first.iter().map(|digit| url_safe(*digit)).collect(), first]),
        }
    }

    /// Whether bytes begin with this form.
    pub(super) fn fit(&self, bytes: &[u8]) -> Fit {
        let (mut at, mut index) = (0, 0);
        while let Some(character) = self.character(index) {
            match self.step(character, index, bytes.get(at..).unwrap_or_default()) {
                Step::Took { bytes, characters } => (at, index) = (at + bytes, index + characters),
                Step::Ended => return Fit::Begun,
                Step::Other => return Fit::Not,
            }
        }
        Fit::Whole(at)
    }

    /// A character of the form, unescaped; `None` past its end.
    fn character(&self, index: usize) -> Option<u8> {
        let value = self.value.expose();
        match self.digits {
            Digits::Plain(_) => value.get(index).copied(),
            Digits::Hex => value.get(index / 2).map(|byte| hexadecimal(if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 })),
            Digits::Base64 { before } => sextet(value, usize::from(before), index).map(base64),
        }
    }

    /// Whether a byte stands for a character.
    fn is(&self, found: u8, character: u8) -> bool {
        match self.digits {
            Digits::Plain(_) => found == character,
            Digits::Hex => found.eq_ignore_ascii_case(&character),
            Digits::Base64 { .. } => found == character || found == url_safe(character),
        }
    }

    fn step(&self, character: u8, index: usize, bytes: &[u8]) -> Step {
        let Some((first, rest)) = bytes.split_first() else { return Step::Ended };
        let one = Step::Took { bytes: 1, characters: 1 };
        let (percent, backslash) = match self.digits {
            Digits::Plain(escapes) => {
                (matches!(escapes, Escapes::Both | Escapes::Percent), matches!(escapes, Escapes::Both | Escapes::Backslash))
            }
            Digits::Hex | Digits::Base64 { .. } => (true, true),
        };
        let escaped = match first {
            b'%' if percent => self.percent(character, rest),
            b'\\' if backslash => self.backslash(character, index, rest),
            _ => Step::Other,
        };
        match escaped {
            Step::Other if self.is(*first, character) => one,
            // A form-encoded space.
            Step::Other if percent && (*first, character) == (b'+', b' ') => one,
            escaped => escaped,
        }
    }

    /// `%2B`, after its `%`.
    fn percent(&self, character: u8, rest: &[u8]) -> Step {
        let spelled = |character: u8| begins(rest, &[hexadecimal(character >> 4), hexadecimal(character & 15)]);
        either(spelled(character), || self.alternative(character).map(spelled), Step::Took { bytes: 3, characters: 1 })
    }

    /// `\u002B`, or a punctuation mark as in `\/`, after its `\`.
    fn backslash(&self, character: u8, index: usize, rest: &[u8]) -> Step {
        match rest.split_first() {
            None => return Step::Ended,
            Some((b'u', _)) => {}
            Some((mark, _)) if mark.is_ascii_punctuation() && self.is(*mark, character) => return Step::Took { bytes: 2, characters: 1 },
            Some(_) => return Step::Other,
        }
        if !character.is_ascii() {
            return self.beyond_ascii(index, rest);
        }
        let spelled = |character: u8| begins(rest, &[b'u', b'0', b'0', hexadecimal(character >> 4), hexadecimal(character & 15)]);
        either(spelled(character), || self.alternative(character).map(spelled), Step::Took { bytes: 6, characters: 1 })
    }

    /// `\u00e9`, or the two halves of a surrogate pair, after the first `\`: one character of text, several of the form.
    fn beyond_ascii(&self, index: usize, rest: &[u8]) -> Step {
        let value = self.value.expose().get(index..).unwrap_or_default();
        let Some(character) = head::first_char(value) else { return Step::Other };
        let spelled = head::unicode(character, u8::to_ascii_lowercase);
        match begins(rest, spelled.get(1..).unwrap_or_default()) {
            Begins::Yes => Step::Took { bytes: spelled.len(), characters: character.len_utf8() },
            Begins::SoFar => Step::Ended,
            Begins::No => Step::Other,
        }
    }

    /// The other character that stands for the same digit.
    fn alternative(&self, character: u8) -> Option<u8> {
        match self.digits {
            Digits::Base64 { .. } => Some(url_safe(character)),
            Digits::Hex => Some(character.to_ascii_uppercase()),
            Digits::Plain(_) => None,
        }
    }
}

enum Begins {
    Yes,
    SoFar,
    No,
}

/// Whether bytes begin with these, in either case, or are the beginning of them.
fn begins(bytes: &[u8], with: &[u8]) -> Begins {
    let same = bytes.iter().zip(with).all(|(one, other)| one.eq_ignore_ascii_case(other));
    match same {
        true if bytes.len() >= with.len() => Begins::Yes,
        true => Begins::SoFar,
        false => Begins::No,
    }
}

fn either(one: Begins, other: impl FnOnce() -> Option<Begins>, took: Step) -> Step {
    let better = match one {
        Begins::No => other().unwrap_or(Begins::No),
        one => one,
    };
    match better {
        Begins::Yes => took,
        Begins::SoFar => Step::Ended,
        Begins::No => Step::Other,
    }
}

/// Six bits of the value as base64 groups them: the first whose bits are all the value's, and so on; `None` past the last such.
fn sextet(value: &[u8], before: usize, index: usize) -> Option<u8> {
    // The characters that hold bits of the bytes before: 0, 2 or 3.
    let skipped = (before * 8).div_ceil(6);
    let bit = (skipped + index) * 6 - before * 8;
    let (byte, shift) = (bit / 8, bit % 8);
    let high = u16::from(*value.get(byte)?) << 8;
    let low = match value.get(byte + 1) {
        Some(low) => u16::from(*low),
        None if shift > 2 => return None,
        None => 0,
    };
    u8::try_from((high | low) >> (10 - shift) & 63).ok()
}

fn base64(sextet: u8) -> u8 {
    match sextet {
        0..=25 => b'A' + sextet,
        26..=51 => b'a' + sextet - 26,
        52..=61 => b'0' + sextet - 52,
        62 => b'+',
        _ => b'/',
    }
}

/// The same digit in the URL-safe alphabet.
fn url_safe(digit: u8) -> u8 {
    match digit {
        b'+' => b'-',
        b'/' => b'_',
        other => other,
    }
}

/// A digit of 0 to 15, in lower case.
pub(super) fn hexadecimal(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}
