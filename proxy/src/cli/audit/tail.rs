use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail};

use super::filter::Filter;

/// How often is looked whether there is more.
const POLL: Duration = Duration::from_millis(100);

/// How far back the last records are looked for, in bytes.
const BACK_BYTES_MAX: u64 = 4 << 20;

/// Arguments of `keygress audit tail`: of one file, and of those that take its place when it is put aside.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Begin so many records before the end.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    lines: usize,
}

/// Prints the records that are asked for as they are written, until it is stopped or nobody reads.
///
/// # Errors
/// Where it is not one file, a moment is none, the file cannot be read, or the output cannot be written.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let [path] = args.filter.files() else { bail!("one file is followed: the one that is written now") };
    let named = || format!("cannot read `{}`", path.display());
    let mut file = File::open(path).with_context(named)?;
    let start = last_lines(&mut file, args.lines).with_context(named)?;
    file.seek(SeekFrom::Start(start)).with_context(named)?;
    let mut out = io::stdout().lock();
    args.filter.read_from(Following { path, file, wait: || sleep(POLL) }, |raw, _| {
        out.write_all(raw)?;
        out.write_all(b"\n")?;
        // Whoever watches wants to see it now.
        out.flush()
    })?;
    Ok(())
}

/// Where the last so many lines begin.
fn last_lines(file: &mut File, lines: usize) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(BACK_BYTES_MAX);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(length - begin).read_to_end(&mut bytes)?;
    let mut ends = memchr::memrchr_iter(b'\n', &bytes);
    // The newline before the first of them, where there are so many.
    let before = ends.nth(lines);
    Ok(match before {
        Some(at) => begin + at as u64 + 1,
        // What begins in the middle of a line is no record, and is left out.
        None => begin,
    })
}

/// A file that grows, and is replaced by another of its name: it has no end.
struct Following<'p, W> {
    path: &'p Path,
    file: File,
    /// Waits until there may be more.
    wait: W,
}

impl<W: FnMut()> Read for Following<'_, W> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // Looked at first: what was written before the file was put aside is read to its end.
            let next = self.next()?;
            let got = self.file.read(into)?;
            if got > 0 {
                return Ok(got);
            }
            match next {
                Some(next) => self.file = next,
                None => (self.wait)(),
            }
        }
    }
}

impl<W> Following<'_, W> {
    /// The file that has taken its place.
    fn next(&self) -> io::Result<Option<File>> {
        let own = self.file.metadata()?;
        match fs::metadata(self.path) {
            Ok(now) if (now.dev(), now.ino()) == (own.dev(), own.ino()) => Ok(None),
            // Between two files there is none for a moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Ok(_) => File::open(self.path).map(Some),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{self, Step};

    fn append(path: &Path, text: &str) {
        fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_file_is_followed_as_it_grows_and_when_it_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        append(&path, "{\"seq\":1}\n{\"se");
        let mut waited = 0;
        let wait = || {
            waited += 1;
            match waited {
                1 => append(&path, "q\":2}\n"),
                2 => fs::rename(&path, folder.path().join("aside")).unwrap(),
                3 => {
                    append(&folder.path().join("aside"), "{\"seq\":3}\n");
                    append(&path, "{\"seq\":4}\n");
                }
                _ => panic!("it was read to its end"),
            }
        };
        let mut seen = Vec::new();
        let following = Following { path: &path, file: File::open(&path).unwrap(), wait };
        let read = records::read(following, b"", |_, line| {
            seen.push(line.seq);
            Ok(if seen.len() == 4 { Step::Enough } else { Step::On })
        });
        assert_eq!((read.unwrap().lines, seen), (4, vec![1, 2, 3, 4]));
    }

    #[test]
    fn the_last_lines_begin_where_they_begin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        append(&path, "one\ntwo\nthree\n");
        let begin = |lines| last_lines(&mut File::open(&path).unwrap(), lines).unwrap();
        assert_eq!([0, 1, 2, 3, 9].map(begin), [14, 8, 4, 0, 0]);
    }
}
