use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::Line;

/// How much of a file is read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// The longest line that is looked at; the longest that is written is far shorter. Memory is bounded by it.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What reading came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whole lines.
    pub lines: u64,
    /// Lines that are no record.
    pub unreadable: u64,
    /// The first of them, from 1.
    pub first_unreadable: Option<u64>,
    /// Whether it ends in the middle of a line: keygress writes on, or was killed.
    pub is_torn: bool,
}

/// Whether there is more to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read on.
    On,
    /// It is enough.
    Enough,
}

/// Reads line by line. What holds `wanted` somewhere, or everything where that is empty, is parsed and taken, with its raw bytes.
///
/// # Errors
/// Where the source cannot be read, or what takes the lines fails.
pub fn read(mut source: impl Read, wanted: &[u8], mut take: impl FnMut(&[u8], &Line<'_>) -> io::Result<Step>) -> io::Result<Reading> {
    let finder = memchr::memmem::Finder::new(wanted);
    let mut reading = Reading::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut filled = 0;
    let mut is_skipping = false;
    loop {
        if filled == buffer.len() {
            if buffer.len() < LINE_BYTES_MAX {
                buffer.resize(buffer.len() * 2, 0);
            } else {
                // Too long to be a record: its bytes are dropped up to its newline.
                is_skipping = true;
                filled = 0;
            }
        }
        let got = match source.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let known = filled;
        filled += got;
        let mut start = 0;
        let fresh = buffer.get(known..filled).unwrap_or_default();
        for at in memchr::memchr_iter(b'\n', fresh) {
            let end = known + at;
            let line = buffer.get(start..end).unwrap_or_default();
            start = end + 1;
            reading.lines += 1;
            if std::mem::take(&mut is_skipping) {
                reading.spoilt();
                continue;
            }
            if !wanted.is_empty() && finder.find(line).is_none() {
                continue;
            }
            match serde_json::from_slice::<Line<'_>>(line) {
                Ok(parsed) => {
                    if take(line, &parsed)? == Step::Enough {
                        return Ok(reading);
                    }
                }
                Err(_) => reading.spoilt(),
            }
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
    reading.is_torn = filled > 0 || is_skipping;
    Ok(reading)
}

/// Reads several files in this order as one; `-` is standard input.
///
/// # Errors
/// Names the file that cannot be read.
pub fn read_files(files: &[PathBuf], wanted: &[u8], mut take: impl FnMut(&[u8], &Line<'_>) -> io::Result<Step>) -> io::Result<Reading> {
    let mut all = Reading::default();
    let mut is_enough = false;
    for file in files {
        let mut take = |raw: &[u8], line: &Line<'_>| {
            let step = take(raw, line)?;
            is_enough = step == Step::Enough;
            Ok(step)
        };
        let part = if file.as_os_str() == "-" {
            read(io::stdin().lock(), wanted, &mut take)?
        } else {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot read `{}`: {error}", file.display()));
            read(File::open(file).map_err(named)?, wanted, &mut take)?
        };
        all.first_unreadable = all.first_unreadable.or(part.first_unreadable.map(|line| all.lines + line));
        all.lines += part.lines;
        all.unreadable += part.unreadable;
        all.is_torn |= part.is_torn;
        if is_enough {
            break;
        }
    }
    Ok(all)
}

impl Reading {
    fn spoilt(&mut self) {
        self.unreadable += 1;
        self.first_unreadable = self.first_unreadable.or(Some(self.lines));
    }

    /// What somebody should know who trusts an answer that was made of it.
    #[must_use]
    pub fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        if let Some(first) = self.first_unreadable {
            let lines =
                if self.unreadable == 1 { "1 line is no record".to_owned() } else { format!("{} lines are no records", self.unreadable) };
            caveats.push(format!("{lines}, the first of them line {first}: left out"));
        }
        if self.is_torn {
            caveats.push("the last line is not complete: keygress is writing it, or was killed; left out".to_owned());
        }
        caveats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(bytes: &[u8], wanted: &[u8]) -> (Vec<u64>, Reading) {
        let mut seen = Vec::new();
        let reading = read(bytes, wanted, |_, line| {
            seen.push(line.seq);
            Ok(Step::On)
        });
        (seen, reading.unwrap())
    }

    #[test]
    fn a_torn_end_and_what_is_no_record_are_left_out_and_told() {
        let text = b"{\"seq\":1}\nhello\n{\"seq\":2,\"activity\":\"unheard_of\",\"new\":{\"a\":[1]}}\n{\"seq\":3,\"acti";
        let (lines, reading) = seen(text, b"");
        assert_eq!(lines, [1, 2]);
        assert_eq!(reading, Reading { lines: 3, unreadable: 1, first_unreadable: Some(2), is_torn: true });
        assert_eq!(reading.caveats().len(), 2);
        assert_eq!(seen(b"", b"").1, Reading::default());
    }

    #[test]
    fn only_lines_that_hold_what_is_wanted_are_parsed() {
        let (lines, reading) = seen(b"{\"seq\":1,\"message\":\"b\"}\nnot json\n{\"seq\":2,\"message\":\"a\"}\n", b"\"a\"");
        assert_eq!((lines, reading.lines, reading.unreadable), (vec![2], 3, 0));
    }

    #[test]
    fn lines_of_any_length_are_read_and_memory_is_bounded() {
        let long = |bytes: usize| format!("{{\"seq\":7,\"message\":\"{}\"}}\n", "x".repeat(bytes));
        let text = [long(CHUNK_BYTES * 2), long(LINE_BYTES_MAX * 3), "{\"seq\":8}\n".to_owned()].concat();
        let (lines, reading) = seen(text.as_bytes(), b"");
        assert_eq!((lines, reading.unreadable, reading.first_unreadable), (vec![7, 8], 1, Some(2)));
    }

    /// Gives one byte at a time.
    struct Drop<'t>(&'t [u8]);

    impl Read for Drop<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = into.len().min(1);
            self.0.read(&mut into[..length])
        }
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_come() {
        let text = b"{\"seq\":1}\n{\"seq\":2}\n{\"se";
        let mut seen = Vec::new();
        let reading = read(Drop(text), b"", |raw, line| {
            assert!(raw.starts_with(b"{") && raw.ends_with(b"}"));
            seen.push(line.seq);
            Ok(if line.seq == 2 { Step::Enough } else { Step::On })
        });
        assert_eq!((seen, reading.unwrap().lines), (vec![1, 2], 2));
    }

    #[test]
    fn escapes_are_undone_and_the_writer_is_known() {
        let text = br#"{"metadata":{"uid":"ab-cd-7"},"message":"gr\u00fcn","keygress":{"credential":"key"}}
"#;
        let taken = read(&text[..], b"", |_, line| {
            assert_eq!((line.message.as_str(), line.instance(), line.keygress.credential.given()), ("grün", "ab-cd", Some("key")));
            Ok(Step::On)
        });
        assert_eq!(taken.unwrap().lines, 1);
    }
}
