//! An audit in files: when one is full or old it is put aside under the number of its first record, and the chain goes on in the next.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::chain;
use super::store::{Durability, Whole, options, sync_parent};

/// Digits of the number in the name of a file that was put aside.
const DIGITS: usize = 16;

/// Between two attempts to put a file aside.
const RETRY: Duration = Duration::from_secs(10);

/// When a file is put aside, and how many are kept. By default never, and all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// A file of this many bytes is.
    pub bytes_max: Option<u64>,
    /// A file whose first record is this old is, with the next record.
    pub age_max: Option<Duration>,
    /// So many that were put aside are kept, and older ones deleted.
    pub kept: Option<usize>,
}

/// The number and the time of the first record of a file.
type First = (u64, i64);

/// A file that is written, and those before it.
pub(super) struct Segments {
    whole: Whole<File>,
    path: PathBuf,
    rotation: Rotation,
    first: Option<First>,
    not_before: Option<Instant>,
}

impl Segments {
    /// Goes on with an open file that holds this many bytes of whole lines.
    pub(super) fn new(file: File, length: u64, path: &Path) -> io::Result<Self> {
        let first = chain::place(BufReader::new(File::open(path)?).fill_buf()?);
        Ok(Self { whole: Whole::new(file, length), path: path.to_owned(), rotation: Rotation::default(), first, not_before: None })
    }

    /// Puts files aside by these rules.
    pub(super) fn rotate_by(&mut self, rotation: Rotation) {
        self.rotation = rotation;
    }

    pub(super) fn append(&mut self, lines: &[u8], durability: Durability) -> io::Result<()> {
        self.whole.append(lines, durability)?;
        if self.first.is_none() {
            self.first = chain::place(lines);
        }
        Ok(())
    }

    /// Whether the file is to be put aside.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let Some((_, time)) = self.first else { return false };
        let age = Duration::from_millis(u64::try_from(now.as_millisecond() - time).unwrap_or_default());
        let is_full = self.rotation.bytes_max.is_some_and(|most| self.whole.length() >= most);
        let is_old = self.rotation.age_max.is_some_and(|most| age >= most);
        (is_full || is_old) && self.not_before.is_none_or(|moment| Instant::now() >= moment)
    }

    /// Puts the file aside and begins the next. Where that fails it goes on with the file that it has.
    pub(super) fn rotate(&mut self) {
        if let Err(error) = self.try_to_rotate() {
            tracing::error!(%error, "the audit file could not be put aside: it goes on growing");
            self.not_before = Some(Instant::now() + RETRY);
        }
    }

    fn try_to_rotate(&mut self) -> io::Result<()> {
        let Some((seq, _)) = self.first else { return Ok(()) };
        self.whole.sync()?;
        let aside = aside(&self.path, seq);
        if aside.exists() {
            return Err(io::Error::other(format!("`{}` is there already", aside.display())));
        }
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(".new");
        let next = options().read(true).open(&beside)?;
        next.set_len(0)?;
        next.try_lock()?;
        fs::rename(&self.path, &aside)?;
        if let Err(error) = fs::rename(&beside, &self.path) {
            // The file that was put aside is the one that is written: it goes back.
            fs::rename(&aside, &self.path)?;
            return Err(error);
        }
        sync_parent(&self.path)?;
        (self.whole, self.first, self.not_before) = (Whole::new(next, 0), None, None);
        self.forget_oldest();
        Ok(())
    }

    fn forget_oldest(&self) {
        let Some(kept) = self.rotation.kept else { return };
        let aside = match put_aside(&self.path) {
            Ok(aside) => aside,
            Err(error) => return tracing::warn!(%error, "older audit files could not be listed"),
        };
        for (_, path) in aside.iter().rev().skip(kept) {
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(%error, path = %path.display(), "an older audit file could not be deleted");
            }
        }
    }
}

/// The files that were put aside, oldest first, with the numbers of their first records.
pub(super) fn put_aside(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?.path();
        let digits = entry.file_name().and_then(|file| file.to_str()?.strip_prefix(name)?.strip_prefix('.'));
        let seq = digits.filter(|digits| digits.len() == DIGITS).and_then(|digits| digits.parse().ok());
        found.extend(seq.map(|seq| (seq, entry.clone())));
    }
    found.sort_unstable();
    Ok(found)
}

fn aside(path: &Path, seq: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{seq:0width$}", width = DIGITS));
    name.into()
}
