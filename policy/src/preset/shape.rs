//! What keys look like where they lie about: a prefix, runs of characters, and a proof where the vendor gives one. Read by hand, without a
//! regular expression: no shape goes back over what it has read, so that searching takes the same time whatever is searched.

use serde::Serialize;

/// The shapes, by vendor.
mod table;

/// What can be computed: checksums, and what makes a text random.
mod proof;

pub use proof::is_stand_in;
pub use table::SHAPES;

/// One form of a key.
#[derive(Debug, Serialize)]
pub struct Shape {
    /// Stable id, such as `github-pat`.
    pub id: &'static str,
    /// The presets whose key this is; empty where there is none.
    pub presets: &'static [&'static str],
    /// The vendor.
    pub vendor: &'static str,
    /// How it is found.
    pub anchor: Anchor,
    /// The runs that follow the prefix.
    #[serde(skip)]
    pub runs: &'static [Run],
    /// What tells it from a text that only looks like it.
    pub proof: Proof,
    /// What the key is worth to who finds it.
    pub worth: Worth,
}

/// How a shape is found in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// Its value begins with these characters.
    Prefix(&'static str),
    /// These characters stand in its middle; a run of so many stands before them.
    Middle {
        /// The characters.
        text: &'static str,
        /// The run before.
        #[serde(skip)]
        before: Run,
    },
    /// It looks like nothing: it is one only as the value of a variable of such a name.
    Named(&'static [&'static str]),
    /// A PEM block that begins with this line.
    Pem(&'static str),
}

/// So many characters of one alphabet, and the text that must follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Of which characters.
    pub alphabet: Alphabet,
    /// At least so many.
    pub least: usize,
    /// At most so many.
    pub most: usize,
    /// What follows; empty where nothing must.
    pub then: &'static str,
}

/// Sets of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// `0-9`.
    Digits,
    /// `0-9a-f`.
    Hex,
    /// `0-9A-Za-z`.
    Letters,
    /// `0-9A-Z`.
    Upper,
    /// `A-Z2-7`.
    Base32,
    /// `0-9A-Za-z_-`.
    Url,
    /// `0-9A-Za-z+/`.
    Base64,
    /// `0-9A-Za-z+/=_-`.
    Padded,
    /// `0-9A-Za-z_.~-`.
    Unreserved,
    /// `0-9A-Za-z/:`.
    Numbered,
}

/// What tells a key from a text that only looks like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Its shape alone.
    Shape,
    /// The last six characters are the CRC-32 of those after the prefix, in base 62.
    Crc32Base62,
    /// The last eight are the CRC-32 of all before `_`, its bytes reversed, in hexadecimal.
    Crc32Hex,
    /// Its first part is JSON in base64.
    JsonHead,
}

/// What a key is worth to who finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// It opens an account.
    Key,
    /// It may be short-lived, or is half of a key.
    Part,
    /// For tests, or made to be published.
    Public,
}

impl Alphabet {
    /// Whether the character is one of them.
    #[must_use]
    pub const fn has(self, byte: u8) -> bool {
        match self {
            Self::Digits => byte.is_ascii_digit(),
            Self::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Self::Letters => byte.is_ascii_alphanumeric(),
            Self::Upper => matches!(byte, b'0'..=b'9' | b'A'..=b'Z'),
            Self::Base32 => matches!(byte, b'2'..=b'7' | b'A'..=b'Z'),
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'),
            Self::Padded => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-'),
            Self::Unreserved => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~'),
            Self::Numbered => byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b':'),
        }
    }
}

impl Shape {
    /// How many bytes from the beginning of `text` are such a key, where `text` begins with what follows the anchor. What would go on
    /// beyond the longest is none.
    #[must_use]
    pub fn reads(&self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        for run in self.runs {
            let rest = text.get(at..)?;
            let length = rest.iter().take(run.most).take_while(|byte| run.alphabet.has(**byte)).count();
            if length < run.least || !rest.get(length..)?.starts_with(run.then.as_bytes()) {
                return None;
            }
            at += length + run.then.len();
        }
        let last = self.runs.last()?;
        let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || last.alphabet.has(byte) && byte != b'-' && byte != b'/';
        if last.then.is_empty() && text.get(at).is_some_and(|byte| goes_on(*byte)) { None } else { Some(at) }
    }

    /// Whether this value, with its prefix, holds what the vendor proves it by, and is no example.
    #[must_use]
    pub fn is_proven(&self, value: &[u8]) -> bool {
        let body = match self.anchor {
            Anchor::Prefix(prefix) => value.strip_prefix(prefix.as_bytes()).unwrap_or(value),
            Anchor::Middle { .. } | Anchor::Named(_) | Anchor::Pem(_) => value,
        };
        match self.proof {
            Proof::Crc32Base62 => proof::crc32_base62(body),
            Proof::Crc32Hex => proof::crc32_hex(value),
            Proof::JsonHead => proof::json_head(value),
            Proof::Shape => !is_stand_in(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset;

    #[test]
    fn every_preset_has_a_shape_and_every_shape_knows_its_presets() {
        for preset in preset::all() {
            assert!(SHAPES.iter().any(|shape| shape.presets.contains(&preset.name)), "{}", preset.name);
        }
        for shape in SHAPES {
            assert!(shape.presets.iter().all(|name| preset::find(name).is_some()), "{}", shape.id);
            assert!(SHAPES.iter().filter(|other| other.id == shape.id).count() == 1, "{}", shape.id);
            assert_eq!(shape.runs.is_empty(), matches!(shape.anchor, Anchor::Pem(_)), "{}", shape.id);
            assert!(shape.runs.iter().all(|run| 0 < run.least && run.least <= run.most && run.most <= 4096), "{}", shape.id);
            if let Anchor::Named(names) = shape.anchor {
                assert!(shape.runs.iter().map(|run| run.least).sum::<usize>() >= 16, "{}: guesses", shape.id);
                let of_presets = |name: &str| preset::find(name).is_some_and(|preset| names.contains(&preset.env));
                assert!(shape.presets.iter().all(|name| of_presets(name)), "{}: its preset's variable is not named", shape.id);
            }
        }
    }

    /// A stand-in that keygress makes of `like` and `length` passes for a key of the vendor: so does the shape, unless it proves more.
    #[test]
    fn what_a_preset_says_of_its_keys_begins_as_its_shapes_do() {
        for preset in preset::all().into_iter().filter(|preset| !preset.like.is_empty()) {
            let shapes: Vec<_> = SHAPES.iter().filter(|shape| shape.presets.contains(&preset.name)).collect();
            let fits = |shape: &&&Shape| match shape.anchor {
                Anchor::Prefix(prefix) => prefix.starts_with(preset.like) || preset.like.starts_with(prefix),
                Anchor::Named(_) | Anchor::Middle { .. } => true,
                Anchor::Pem(_) => false,
            };
            assert!(shapes.iter().any(|shape| fits(&shape)), "{}", preset.name);
        }
    }

    #[test]
    fn a_run_that_is_too_short_too_long_or_of_others_is_none() {
        let shape = SHAPES.iter().find(|shape| shape.id == "sendgrid").unwrap();
        let key =
            |first: usize, second: usize| format!("{}.{}", "aB3_".repeat(10).split_at(first).0, "xY9_z".repeat(12).split_at(second).0);
        assert_eq!(shape.reads(key(22, 43).as_bytes()), Some(66));
        assert_eq!(shape.reads(format!("{}\"", key(22, 43)).as_bytes()), Some(66));
        for (first, second) in [(21, 43), (23, 43), (22, 42), (22, 44)] {
            assert_eq!(shape.reads(key(first, second).as_bytes()), None, "{first} {second}");
        }
    }
}
