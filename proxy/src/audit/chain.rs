//! What ties the lines together: each names its position and the hash of the line before, and ends in its own hash.

use aws_lc_rs::digest;
use serde::Deserialize;

use super::Event;
use super::checkpoint::{Seal, SigningKey};
use super::record::{self, Moment, Place};

/// The longest line that is read, in bytes; the longest that is written is far shorter.
pub(super) const LINE_BYTES_MAX: u64 = 1 << 20;

/// What stands between the hashed part of a line and its hash.
const HASH_KEY: &[u8] = br#","hash":""#;

/// Hexadecimal digits of SHA-256.
const HASH_DIGITS: usize = 64;

/// The end of a chain: what the next line continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Position of the last line; 0 before the first.
    pub(super) seq: u64,
    /// Hash of the last line, in hexadecimal; zeros before the first.
    pub(super) hash: String,
}

impl Head {
    /// The head of an empty chain.
    pub(super) fn empty() -> Self {
        Self { seq: 0, hash: "0".repeat(HASH_DIGITS) }
    }

    /// Appends the next line, newline included, and becomes its head. With a key the line carries a signature.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, event: &Event, (time, instance): (&Moment, &str), key: Option<&SigningKey>) {
        let seq = self.seq + 1;
        let start = out.len();
        let place = Place { seq, time, instance, prev: &self.hash };
        let seal = key.map(|key| key.seal(event.kind, &place));
        record::write(out, event, &place, seal.as_ref());
        let hash = hash(out.get(start..).unwrap_or_default());
        // The hash goes inside the object: its closing brace moves behind it.
        out.pop();
        out.extend_from_slice(HASH_KEY);
        out.extend_from_slice(hash.as_bytes());
        out.extend_from_slice(b"\"}\n");
        *self = Self { seq, hash };
    }
}

/// One line that was read back and whose own hash is right.
#[derive(Debug)]
pub(super) struct Line {
    /// What it is the head of.
    pub(super) head: Head,
    /// The hash that it names as the one before.
    pub(super) prev: String,
    /// What happened.
    pub(super) activity: String,
    /// When, in milliseconds since 1970.
    pub(super) time: i64,
    /// Its name: of the process, and its number.
    pub(super) uid: String,
    /// Its signature, which is not verified yet.
    pub(super) seal: Option<Seal>,
}

/// Reads a line without its newline, and verifies its own hash over its raw bytes.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(line: &[u8]) -> Result<Line, String> {
    #[derive(Deserialize)]
    struct Fields {
        seq: u64,
        time: i64,
        prev: String,
        activity: String,
        metadata: Metadata,
        #[serde(default)]
        keygress: Ours,
    }
    #[derive(Deserialize)]
    struct Metadata {
        uid: String,
    }
    #[derive(Default, Deserialize)]
    struct Ours {
        key: Option<String>,
        signature: Option<String>,
    }
    let malformed = || "it is not a record".to_owned();
    let rest = line.strip_suffix(b"\"}").ok_or_else(malformed)?;
    let (rest, named) = rest.split_at_checked(rest.len().wrapping_sub(HASH_DIGITS)).ok_or_else(malformed)?;
    let mut body = rest.strip_suffix(HASH_KEY).ok_or_else(malformed)?.to_vec();
    body.push(b'}');
    let hash = hash(&body);
    if hash.as_bytes() != named {
        return Err("its hash does not match its content".to_owned());
    }
    let Fields { seq, time, prev, activity, metadata: Metadata { uid }, keygress: Ours { key, signature } } =
        serde_json::from_slice(&body).map_err(|_| malformed())?;
    let seal = key.zip(signature).map(|(key, signature)| Seal { key, signature });
    Ok(Line { head: Head { seq, hash }, prev, activity, time, uid, seal })
}

/// The number and the time of the line that begins here; its hash is not looked at.
pub(super) fn place(line: &[u8]) -> Option<(u64, i64)> {
    let (seq, rest) = digits(line.strip_prefix(br#"{"seq":"#)?);
    let (time, _) = digits(rest.strip_prefix(br#","time":"#)?);
    Some((seq.parse().ok()?, time.parse().ok()?))
}

fn digits(text: &[u8]) -> (&str, &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).unwrap_or_default();
    (std::str::from_utf8(digits).unwrap_or_default(), rest)
}

fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(HASH_DIGITS);
    for byte in digest::digest(&digest::SHA256, bytes).as_ref() {
        let [high, low] = record::hex(*byte);
        text.push(char::from(high));
        text.push(char::from(low));
    }
    text
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;
    use jiff::Timestamp;

    use super::*;
    use crate::audit::Kind;
    use crate::audit::verify::{Verified, verify_bytes as verified};

    fn chain(records: u64) -> Vec<u8> {
        let mut head = Head::empty();
        let mut out = Vec::new();
        for request in 0..records {
            let event = Event { request: Some(request), path: Some(PathAndQuery::from_static("/a")), ..Event::new(Kind::Used) };
            head.append(&mut out, &event, (&Moment::of(Timestamp::UNIX_EPOCH), "i"), None);
        }
        out
    }

    fn bad_line(bytes: &[u8]) -> Option<u64> {
        verified(bytes).first_bad.map(|(line, _)| line)
    }

    #[test]
    fn an_untouched_chain_verifies() {
        let found: Verified = verified(&chain(50));
        assert_eq!((found.records, found.first_bad), (50, None));
        assert_eq!(bad_line(b""), None);
    }

    #[test]
    fn every_flipped_bit_is_named_at_its_own_line() {
        let whole = chain(4);
        for at in 0..whole.len() {
            let line = 1 + whole[..at].iter().filter(|b| **b == b'\n').count() as u64;
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(bad_line(&flipped), Some(line), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_removed_record_is_named() {
        let whole = chain(6);
        let lines: Vec<_> = whole.split_inclusive(|b| *b == b'\n').collect();
        for removed in 0..5 {
            let mut kept = lines.clone();
            kept.remove(removed);
            assert_eq!(bad_line(&kept.concat()), Some(removed as u64 + 1));
        }
    }

    #[test]
    fn moved_and_repeated_records_are_named() {
        let whole = chain(6);
        let lines: Vec<_> = whole.split_inclusive(|b| *b == b'\n').collect();
        for a in 0..6 {
            for b in a + 1..6 {
                let mut moved = lines.clone();
                moved.swap(a, b);
                assert_eq!(bad_line(&moved.concat()), Some(a as u64 + 1), "{a} and {b} swapped");
            }
            let mut repeated = lines.clone();
            repeated.insert(a, lines[a]);
            assert_eq!(bad_line(&repeated.concat()), Some(a as u64 + 2));
        }
    }

    #[test]
    fn a_record_of_another_chain_does_not_fit() {
        let mine = chain(3);
        let mut head = Head::empty();
        let mut theirs = Vec::new();
        for _ in 0..3 {
            head.append(&mut theirs, &Event::new(Kind::Alert), (&Moment::of(Timestamp::UNIX_EPOCH), "j"), None);
        }
        let first_two: Vec<_> = mine.split_inclusive(|b| *b == b'\n').take(2).collect();
        let third: Vec<_> = theirs.split_inclusive(|b| *b == b'\n').skip(2).collect();
        assert_eq!(bad_line(&[first_two.concat(), third.concat()].concat()), Some(3));
    }

    #[test]
    fn every_torn_end_is_named() {
        let whole = chain(2);
        let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        for end in first + 1..whole.len() {
            assert_eq!(bad_line(&whole[..end]), Some(2), "cut at {end}");
        }
    }

    #[test]
    fn the_reason_is_told() {
        let whole = chain(3);
        let lines: Vec<_> = whole.split_inclusive(|b| *b == b'\n').collect();
        let reason = |bytes: &[u8]| verified(bytes).first_bad.unwrap().1;
        assert_eq!(reason(b"hello\n"), "it is not a record");
        assert_eq!(reason(lines[1]), "it has number 2, but 1 was due: name the files before it too, or say from where (`--from`)");
        assert_eq!(reason(&whole[..20]), "its line is not complete");
        assert_eq!(reason(&String::from_utf8(whole).unwrap().replace("/a", "/b").into_bytes()), "its hash does not match its content");
    }
}
