use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::book::Book;
use super::folder::options;
use super::{Key, Row};

/// The version of the format.
const VERSION: u32 = 1;

/// Hexadecimal digits of the hash that stands before each row.
const HASH_DIGITS: usize = 64;

/// The largest file that is read: far more than compaction leaves.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Files below this size are not worth compacting.
const COMPACT_BYTES_MIN: u64 = 4 << 20;

/// A file is compacted where it holds this many bytes for each row that counts.
const COMPACT_BYTES_PER_ROW: u64 = 8 << 10;

/// A file of rows, one a line: the keyed hash of the row before and of this one, a space, the row in JSON.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    key: Key,
    hash: [u8; 32],
    length: u64,
    is_torn: bool,
}

/// What a file turned out to hold.
struct Contents {
    book: Book,
    hash: [u8; 32],
    /// Bytes of whole rows.
    length: u64,
}

impl Journal {
    /// Opens a file, repairs a torn end, and compacts it. Says what was repaired.
    ///
    /// # Errors
    /// Where it cannot be read, was written with another key, or was changed.
    pub(super) fn open(path: PathBuf, key: &Key) -> Result<(Self, Book, Option<String>), String> {
        let refuse = |why: String| format!("the ledger `{}` {why}", path.display());
        let mut file = options().read(true).open(&path).map_err(|error| refuse(format!("cannot be opened: {error}")))?;
        let bytes = read(&mut file).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let Contents { book, hash, length } = understand(&bytes, key).map_err(&refuse)?;
        let torn = bytes.get(usize::try_from(length).unwrap_or(usize::MAX)..).unwrap_or_default();
        let repaired = (!torn.is_empty())
            .then(|| {
                keep_torn(&path, torn).map(|()| {
                    format!("{} bytes behind the last whole row of the ledger were cut off and kept beside it as `.torn`", torn.len())
                })
            })
            .transpose()
            .map_err(|error| refuse(format!("cannot be repaired: {error}")))?;
        let mut journal = Self { path: path.clone(), file, key: key.clone(), hash, length, is_torn: false };
        journal.compact(&book).map_err(|error| refuse(format!("cannot be written: {error}")))?;
        Ok((journal, book, repaired))
    }

    /// Appends rows; they are on the disk when it returns, all of them or none.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(super) fn append(&mut self, rows: &[Row]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
        }
        let mut hash = self.hash;
        let mut bytes = Vec::new();
        for row in rows {
            hash = line(&self.key, &hash, row, &mut bytes)?;
        }
        self.is_torn = true;
        let written =
            self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(&bytes)).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.is_torn = false;
                self.hash = hash;
                self.length += bytes.len() as u64;
            }
            Err(_) => self.is_torn = self.file.set_len(self.length).is_err(),
        }
        written
    }

    /// Whether most of the file is about what has ended.
    pub(super) fn is_worth_compacting(&self, rows: usize) -> bool {
        self.length > COMPACT_BYTES_MIN.max(rows as u64 * COMPACT_BYTES_PER_ROW)
    }

    /// Replaces the file by one that holds what counts, in one step.
    ///
    /// # Errors
    /// Where the disk refuses; the file stays as it is.
    pub(super) fn compact(&mut self, book: &Book) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut hash = [0; 32];
        for row in std::iter::once(Row::Begun { version: VERSION }).chain(book.rows()) {
            hash = line(&self.key, &hash, &row, &mut bytes)?;
        }
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(".new");
        let mut file = options().truncate(true).open(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        (self.file, self.hash, self.length, self.is_torn) = (file, hash, bytes.len() as u64, false);
        Ok(())
    }
}

fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Appends a row that follows this hash, and returns its own.
fn line(key: &Key, hash: &[u8; 32], row: &Row, out: &mut Vec<u8>) -> io::Result<[u8; 32]> {
    let json = serde_json::to_vec(row).map_err(io::Error::other)?;
    let hash = key.chain(hash, &json);
    out.extend(hash.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
    out.push(b' ');
    out.extend_from_slice(&json);
    out.push(b'\n');
    Ok(hash)
}

/// Reads the rows of a file up to a torn end.
///
/// # Errors
/// Where a row that others follow is not what was written: that is no torn end.
fn understand(bytes: &[u8], key: &Key) -> Result<Contents, String> {
    let mut contents = Contents { book: Book::default(), hash: [0; 32], length: 0 };
    for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let Some((hash, row)) = follow(key, &contents.hash, line) else {
            let rest = bytes.get(usize::try_from(contents.length).unwrap_or(usize::MAX)..).unwrap_or_default();
            return if at == 0 && !is_torn_first(rest) {
                Err("was not written with this key, or is something else: move it away to begin anew".to_owned())
            } else if is_followed(rest) {
                Err(format!("was changed: row {} is not what was written. Move it away to begin anew; what it held stays alive", at + 1))
            } else {
                Ok(contents)
            };
        };
        match row {
            Row::Begun { version } if at == 0 && version == VERSION => {}
            Row::Begun { version } => return Err(format!("is of version {version}, and this keygress knows {VERSION}")),
            row => contents.book.apply(&row),
        }
        contents.hash = hash;
        contents.length += line.len() as u64;
    }
    Ok(contents)
}

/// The hash and the row of a line that follows this hash.
fn follow(key: &Key, previous: &[u8], line: &[u8]) -> Option<([u8; 32], Row)> {
    let (named, json) = parts(line)?;
    let hash = key.chain(previous, json);
    (hash == named).then(|| serde_json::from_slice(json).ok().map(|row| (hash, row))).flatten()
}

fn parts(line: &[u8]) -> Option<([u8; 32], &[u8])> {
    let (digits, json) = line.strip_suffix(b"\n")?.split_at_checked(HASH_DIGITS)?;
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some((hash, json.strip_prefix(b" ")?))
}

/// Whether anything stands behind the line that is bad: a process that is killed leaves no more than the beginning of one.
fn is_followed(rest: &[u8]) -> bool {
    rest.split_inclusive(|byte| *byte == b'\n').nth(1).is_some()
}

/// Whether nothing but the beginning of a first row is there: the process was killed at its very start.
fn is_torn_first(rest: &[u8]) -> bool {
    !rest.contains(&b'\n') && rest.len() < HASH_DIGITS
}

/// Keeps what is cut off: it may be evidence.
fn keep_torn(path: &Path, torn: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".torn");
    let mut file = options().truncate(true).open(beside)?;
    file.write_all(torn)?;
    file.sync_all()
}
