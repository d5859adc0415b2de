//! Whether an audit is what was written: its chain, its signatures, and its end where that was kept elsewhere.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::chain::{self, Head, LINE_BYTES_MAX};
use super::checkpoint::{Anchor, PublicKey};

/// What is known of an audit before it is read.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The keys that may have signed. Empty: the first that did is the only one.
    pub keys: Vec<PublicKey>,
    /// A checkpoint that it must hold.
    pub anchor: Option<Anchor>,
    /// The number of its first record.
    pub from: u64,
}

impl Default for Expected {
    fn default() -> Self {
        Self { keys: Vec::new(), anchor: None, from: 1 }
    }
}

/// What `audit verify` found.
#[derive(Debug, Default, serde::Serialize)]
pub struct Verified {
    /// Records read.
    pub records: u64,
    /// Files read.
    pub files: usize,
    /// The number of the last good record.
    pub last: u64,
    /// Lines with a good signature.
    pub checkpoints: u64,
    /// The key of these.
    pub signed_by: Option<String>,
    /// The number of the last record that a signature covers.
    pub signed_to: u64,
    /// The first bad record: line number from 1, and why.
    pub first_bad: Option<(u64, String)>,
    /// The file of that.
    pub bad_file: Option<PathBuf>,
}

/// Verifies the chain of one audit file.
///
/// # Errors
/// Where the file cannot be read.
pub fn verify(file: &Path) -> io::Result<Verified> {
    verify_all(&[file.to_owned()], &Expected::default())
}

/// Verifies a chain over its files, in whatever order they are named. What it cannot see: what was changed or cut off behind the last
/// signature, and whole files that are missing at the end, unless a checkpoint of them is expected.
///
/// # Errors
/// Where a file cannot be read.
pub fn verify_all(files: &[PathBuf], expected: &Expected) -> io::Result<Verified> {
    let mut placed = Vec::new();
    for path in files {
        let mut lines = BufReader::new(File::open(path)?);
        let first = chain::place(lines.fill_buf()?).map_or(u64::MAX, |(seq, _)| seq);
        placed.push((first, path, lines));
    }
    placed.sort_by_key(|(first, _, _)| *first);
    let mut walk = Walk::new(expected);
    for (_, path, lines) in placed {
        walk.found.files += 1;
        if let Some(bad) = walk.file(lines)? {
            walk.found.first_bad = Some(bad);
            walk.found.bad_file = Some(path.clone());
            return Ok(walk.found);
        }
    }
    if let Some(why) = walk.missing() {
        walk.found.first_bad = Some((walk.lines + 1, why));
        walk.found.bad_file = files.last().cloned();
    }
    Ok(walk.found)
}

/// A walk along a chain.
struct Walk<'e> {
    expected: &'e Expected,
    head: Head,
    key: Option<PublicKey>,
    /// Lines read of the file at hand.
    lines: u64,
    found: Verified,
}

impl<'e> Walk<'e> {
    fn new(expected: &'e Expected) -> Self {
        Self { expected, head: Head::empty(), key: None, lines: 0, found: Verified::default() }
    }

    /// Reads one file; its first bad line and why.
    fn file(&mut self, mut lines: impl BufRead) -> io::Result<Option<(u64, String)>> {
        let mut line = Vec::new();
        self.lines = 0;
        loop {
            line.clear();
            if (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.lines += 1;
            self.found.records += 1;
            if let Err(why) = self.follow(&line) {
                return Ok(Some((self.lines, why)));
            }
            self.found.last = self.head.seq;
        }
    }

    /// Takes one more line.
    fn follow(&mut self, line: &[u8]) -> Result<(), String> {
        let line = line.strip_suffix(b"\n").ok_or("its line is not complete")?;
        let read = chain::read(line)?;
        let is_first = self.head.seq == 0;
        let due = if is_first { self.expected.from } else { self.head.seq + 1 };
        if read.head.seq != due {
            let help = if is_first && read.head.seq > due { ": name the files before it too, or say from where (`--from`)" } else { "" };
            return Err(format!("it has number {}, but {due} was due{help}", read.head.seq));
        }
        let continues_unknown = is_first && self.expected.from > 1;
        if read.prev != self.head.hash && !continues_unknown {
            return Err("it does not continue the record before it".to_owned());
        }
        if let Some(seal) = &read.seal {
            self.signed(seal.verify(&read)?, read.head.seq)?;
        }
        if let Some(anchor) = self.expected.anchor.as_ref().filter(|anchor| anchor.head.seq == read.head.seq)
            && anchor.head.hash != read.head.hash
        {
            return Err("it is not the record that the checkpoint names: the audit was written anew".to_owned());
        }
        self.head = read.head;
        Ok(())
    }

    fn signed(&mut self, key: PublicKey, seq: u64) -> Result<(), String> {
        let is_ours = match &self.key {
            _ if !self.expected.keys.is_empty() => self.expected.keys.contains(&key),
            Some(first) => *first == key,
            None => true,
        };
        if !is_ours {
            return Err(format!("it was signed with another key, {key}"));
        }
        self.found.checkpoints += 1;
        self.found.signed_to = seq;
        self.found.signed_by.get_or_insert_with(|| key.to_string());
        self.key = Some(key);
        Ok(())
    }

    /// What is not here although it was expected.
    fn missing(&self) -> Option<String> {
        let last = self.head.seq;
        if let Some(anchor) = self.expected.anchor.as_ref().filter(|anchor| anchor.head.seq > last) {
            return Some(format!("record {} was signed, and the audit ends with record {last}: its end was cut off", anchor.head.seq));
        }
        let by = |anchor: &Anchor| !self.expected.keys.is_empty() && !self.expected.keys.contains(&anchor.key);
        if let Some(anchor) = self.expected.anchor.as_ref().filter(|anchor| by(anchor)) {
            return Some(format!("the checkpoint that it must hold was signed with another key, {}", anchor.key));
        }
        let is_unsigned = !self.expected.keys.is_empty() && self.found.checkpoints == 0;
        is_unsigned.then(|| "a key is expected, and nothing here is signed".to_owned())
    }
}

#[cfg(test)]
pub(super) fn verify_bytes(bytes: &[u8]) -> Verified {
    let expected = Expected::default();
    let mut walk = Walk::new(&expected);
    walk.found.first_bad = walk.file(bytes).unwrap();
    walk.found
}
