//! Where a secret is found again: raw, in base64 wherever it stands in what was encoded, hexadecimal, percent and JSON escapes, inside
//! gzip, deflate, br and zstd, and as a beginning that nobody could have guessed.
//!
//! It knows nothing of how keygress searches: it takes encodings off and looks, where keygress looks for encoded forms.

use std::io::Read;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// How much of a secret is a leak: of a canary, 12 random hexadecimal digits behind the word.
const PREFIX_BYTES: usize = 18;

/// How many encodings are taken off one after the other.
const DEPTH_MAX: usize = 2;

/// The most that is looked at behind one coding.
const INFLATED_BYTES_MAX: u64 = 4 << 20;

/// The secrets that must not be found.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    canaries: Vec<(String, Vec<u8>)>,
}

impl Oracle {
    /// One more secret, under a name that may be shown.
    pub fn hide(&mut self, name: &str, secret: &str) {
        self.canaries.push((name.to_owned(), secret.as_bytes().to_vec()));
    }

    /// What is found in these bytes, in any form: the name of the secret, and how it was written.
    #[must_use]
    pub fn finds(&self, sink: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        self.look(sink, "raw", 0, &mut found);
        found.sort();
        found.dedup();
        found
    }

    fn look(&self, bytes: &[u8], how: &str, depth: usize, found: &mut Vec<String>) {
        for (name, secret) in &self.canaries {
            let prefix = secret.get(..PREFIX_BYTES.min(secret.len())).unwrap_or(secret);
            if memmem(bytes, prefix) {
                let whole = if memmem(bytes, secret) { "" } else { ", its beginning" };
                found.push(format!("`{name}` ({how}{whole})"));
            }
        }
        if depth == DEPTH_MAX {
            return;
        }
        for (coding, view) in views(bytes) {
            if view != bytes && !view.is_empty() {
                self.look(&view, &format!("{how} > {coding}"), depth.saturating_add(1), found);
            }
        }
    }
}

fn memmem(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && memchr::memmem::find(bytes, part).is_some()
}

/// What these bytes are once one encoding is taken off, for each that some part of them may be in.
fn views(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut views = vec![
        ("percent", unescaped(bytes, b'%', 2)),
        ("JSON", json(bytes)),
        ("hexadecimal", runs(bytes, u8::is_ascii_hexdigit, hexadecimal)),
        ("base64", runs(bytes, |byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte), |run| base64(run, &alphabet::STANDARD))),
        ("base64url", runs(bytes, |byte| byte.is_ascii_alphanumeric() || b"-_=".contains(byte), |run| base64(run, &alphabet::URL_SAFE))),
    ];
    views.extend(inflated(bytes));
    views
}

/// Every run of such bytes, decoded; runs stay apart.
fn runs(bytes: &[u8], belongs: impl Fn(&u8) -> bool, decode: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut view = Vec::new();
    for run in bytes.split(|byte| !belongs(byte)).filter(|run| run.len() >= 16) {
        view.extend(decode(run));
        view.push(b'\n');
    }
    view
}

/// The run as hexadecimal, from its first and from its second digit.
fn hexadecimal(run: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default();
    let mut view = Vec::new();
    for start in [0, 1] {
        let pairs = run.get(start..).unwrap_or_default().chunks_exact(2);
        view.extend(pairs.map(|pair| pair.iter().fold(0_u8, |value, byte| value << 4 | digit(byte))));
        view.push(b'\n');
    }
    view
}

/// The run as base64, from each of its first four digits: a secret may stand anywhere in what was encoded.
fn base64(run: &[u8], letters: &alphabet::Alphabet) -> Vec<u8> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(letters, config);
    let digits: Vec<u8> = run.iter().copied().filter(|byte| *byte != b'=').collect();
    let mut view = Vec::new();
    for start in 0..4 {
        let rest = digits.get(start..).unwrap_or_default();
        // Four digits are three bytes; what is left over may be no whole byte.
        let whole = rest.get(..rest.len().saturating_sub(usize::from(rest.len() % 4 == 1))).unwrap_or_default();
        view.extend(engine.decode(whole).unwrap_or_default());
        view.push(b'\n');
    }
    view
}

/// Bytes in which an escape of this many hexadecimal digits stands for the byte that it spells.
fn unescaped(bytes: &[u8], mark: u8, digits: usize) -> Vec<u8> {
    let mut view = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let spelled = (*first == mark).then(|| tail.get(..digits)).flatten();
        let value = spelled.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| u8::from_str_radix(text, 16).ok());
        match value {
            Some(value) => {
                view.push(value);
                rest = tail.get(digits..).unwrap_or_default();
            }
            None => {
                view.push(*first);
                rest = tail;
            }
        }
    }
    view
}

/// `\u00XX` as the byte, and `\x` as `x`.
fn json(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).replace("\\u00", "\u{1}").replace("\\u", "\u{2}");
    unescaped(text.as_bytes(), 1, 2).into_iter().filter(|byte| *byte != b'\\').collect()
}

/// What compressed streams in these bytes hold, wherever one begins. A stream that breaks off counts as far as it goes.
fn inflated(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut views = Vec::new();
    let starts = |magic: &'static [u8]| memchr::memmem::find_iter(bytes, magic);
    for at in starts(&[0x1f, 0x8b, 8]) {
        views.push(("gzip", read(flate2::read::MultiGzDecoder::new(bytes.get(at..).unwrap_or_default()))));
    }
    for magic in [&[0x78, 0x01][..], &[0x78, 0x5e], &[0x78, 0x9c], &[0x78, 0xda]] {
        for at in starts(magic) {
            views.push(("deflate", read(flate2::read::ZlibDecoder::new(bytes.get(at..).unwrap_or_default()))));
        }
    }
    for at in starts(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut room = vec![0; usize::try_from(INFLATED_BYTES_MAX).unwrap_or_default()];
        if let Ok(length) = zstd_safe::decompress(room.as_mut_slice(), bytes.get(at..).unwrap_or_default()) {
            room.truncate(length);
            views.push(("zstd", room));
        }
    }
    // Brotli and bare deflate have no mark of their own: the whole is tried, and the body behind a head.
    let body = bytes.windows(4).position(|window| window == b"\r\n\r\n").and_then(|at| bytes.get(at.saturating_add(4)..));
    for whole in [Some(bytes), body].into_iter().flatten() {
        views.push(("br", read(brotli::Decompressor::new(whole, 4096))));
        views.push(("bare deflate", read(flate2::read::DeflateDecoder::new(whole))));
    }
    views
}

/// As much as can be read.
fn read(decoder: impl Read) -> Vec<u8> {
    let mut view = Vec::new();
    // What comes before the stream breaks is looked at all the same.
    let _ = decoder.take(INFLATED_BYTES_MAX).read_to_end(&mut view);
    view
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::parrot::{CODINGS, FORMS, coded, written};
    use crate::site::canary;

    #[test]
    fn every_form_in_every_coding_is_found_and_nothing_else() {
        let secret = canary().unwrap();
        let mut oracle = Oracle::default();
        oracle.hide("key", &secret);
        for form in FORMS {
            for coding in CODINGS {
                let text = format!("before {} after\n", written(&secret, form).unwrap());
                let sink = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &coded(coding, text.as_bytes()).unwrap()].concat();
                assert!(!oracle.finds(&sink).is_empty(), "{form} in {coding}");
                let sink = coded(coding, format!("before {} after\n", written(&canary().unwrap(), form).unwrap()).as_bytes()).unwrap();
                assert_eq!(oracle.finds(&sink), Vec::<String>::new(), "{form} in {coding}");
            }
        }
    }

    #[test]
    fn a_beginning_and_what_is_encoded_twice_are_found() {
        let secret = canary().unwrap();
        let mut oracle = Oracle::default();
        oracle.hide("key", &secret);
        assert_eq!(oracle.finds(secret.split_at(20).0.as_bytes()), ["`key` (raw, its beginning)"]);
        assert!(oracle.finds(secret.split_at(12).0.as_bytes()).is_empty(), "the word and six digits say nothing");
        let twice = written(&written(&secret, "base64-1").unwrap(), "percent").unwrap();
        assert!(!oracle.finds(twice.as_bytes()).is_empty());
        let masked = "*".repeat(secret.len());
        assert!(oracle.finds(masked.as_bytes()).is_empty());
    }
}
