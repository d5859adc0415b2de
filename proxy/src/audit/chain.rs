//! What ties the lines together: each names its position and the hash of the line before, and ends in its own hash.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use aws_lc_rs::digest;
use serde::Deserialize;

use super::Event;
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

    /// Appends the next line, newline included, and becomes its head.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, event: &Event, time: &Moment, instance: &str) {
        let seq = self.seq + 1;
        let start = out.len();
        record::write(out, event, &Place { seq, time, instance, prev: &self.hash });
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
}

/// Reads a line without its newline, and verifies its own hash over its raw bytes.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(line: &[u8]) -> Result<Line, String> {
    #[derive(Deserialize)]
    struct Fields {
        seq: u64,
        prev: String,
        activity: String,
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
    let Fields { seq, prev, activity } = serde_json::from_slice(&body).map_err(|_| malformed())?;
    Ok(Line { head: Head { seq, hash }, prev, activity })
}

/// What `audit verify` found.
#[derive(Debug, serde::Serialize)]
pub struct Verified {
    /// Records read.
    pub records: u64,
    /// The first bad record: line number from 1, and why.
    pub first_bad: Option<(u64, String)>,
}

/// Verifies the chain of an audit file. What it cannot see: records cut off at the end, and a file that was written anew as a whole.
///
/// # Errors
/// Where the file cannot be read.
pub fn verify(file: &Path) -> io::Result<Verified> {
    verify_lines(BufReader::new(File::open(file)?))
}

fn verify_lines(mut lines: impl BufRead) -> io::Result<Verified> {
    let mut head = Head::empty();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        if (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(Verified { records: number, first_bad: None });
        }
        number += 1;
        match follow(&head, &line) {
            Ok(next) => head = next,
            Err(why) => return Ok(Verified { records: number, first_bad: Some((number, why)) }),
        }
    }
}

/// The head behind a line that continues this one.
fn follow(head: &Head, line: &[u8]) -> Result<Head, String> {
    let line = line.strip_suffix(b"\n").ok_or("its line is not complete")?;
    let read = read(line)?;
    if read.head.seq != head.seq + 1 {
        return Err(format!("it has number {}, but {} was due", read.head.seq, head.seq + 1));
    }
    if read.prev != head.hash {
        return Err("it does not continue the record before it".to_owned());
    }
    Ok(read.head)
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

    fn chain(records: u64) -> Vec<u8> {
        let mut head = Head::empty();
        let mut out = Vec::new();
        for request in 0..records {
            let event = Event { request: Some(request), path: Some(PathAndQuery::from_static("/a")), ..Event::new(Kind::Used) };
            head.append(&mut out, &event, &Moment::of(Timestamp::UNIX_EPOCH), "i");
        }
        out
    }

    fn verified(bytes: &[u8]) -> Verified {
        verify_lines(bytes).unwrap()
    }

    fn bad_line(bytes: &[u8]) -> Option<u64> {
        verified(bytes).first_bad.map(|(line, _)| line)
    }

    #[test]
    fn an_untouched_chain_verifies() {
        let found = verified(&chain(50));
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
            head.append(&mut theirs, &Event::new(Kind::Alert), &Moment::of(Timestamp::UNIX_EPOCH), "j");
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
        assert_eq!(reason(lines[1]), "it has number 2, but 1 was due");
        assert_eq!(reason(&whole[..20]), "its line is not complete");
        assert_eq!(reason(&String::from_utf8(whole).unwrap().replace("/a", "/b").into_bytes()), "its hash does not match its content");
    }
}
