use std::fs::{self, File};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::book::Book;
use super::folder::{Folder, options, private_folder};
use super::journal::Journal;
use super::{Issued, Key, Row};

/// Where in the state folder runs keep theirs.
const RUNS: &str = "runs";

/// Held while a ledger is opened: nobody takes a folder for left behind that is only not locked yet.
const LOCK: &str = "lock";

/// How many ledgers that were left behind are looked into at once; the others are the next process's.
const LEFT_MAX: usize = 1024;

/// The ledgers of runs that share a state folder, a folder each. Nobody else opens or removes one until it is dropped.
pub(super) struct Runs {
    path: PathBuf,
    /// Held for its lock alone.
    _lock: File,
}

impl Runs {
    /// Waits until nobody else is opening a ledger here.
    ///
    /// # Errors
    /// Where the folder is not ours alone or cannot be written.
    pub(super) fn enter(state: &Path) -> Result<Self, String> {
        private_folder(state)?;
        let path = state.join(RUNS);
        private_folder(&path)?;
        let lock = options().open(path.join(LOCK)).and_then(|file| file.lock().map(|()| file));
        let lock = lock.map_err(|error| format!("the state folder `{}` cannot be locked: {error}", path.display()))?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder of a new run.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) fn own(&self, run: &str) -> Result<Folder, String> {
        Folder::open(&self.path.join(run))
    }

    /// Takes over what runs left that were killed, as far as it is wanted: rows move into this journal, and are gone there only when they
    /// are on the disk here. What cannot be read is left as it is, and said.
    pub(super) fn take_over(&self, key: &Key, wanted: &dyn Fn(&Issued) -> bool, into: (&mut Journal, &mut Book)) {
        let (journal, book) = into;
        for path in self.left() {
            // Whoever holds its lock is alive.
            let Ok(folder) = Folder::open(&path) else { continue };
            if let Err(why) = take_one(&folder, key, wanted, (&mut *journal, &mut *book)) {
                tracing::warn!("what a run that was killed has left is not taken over: {why}");
            }
        }
    }

    fn left(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.map(|entry| entry.path()).take(LEFT_MAX).collect()
    }
}

fn take_one(
    folder: &Folder,
    key: &Key,
    wanted: &dyn Fn(&Issued) -> bool,
    (journal, book): (&mut Journal, &mut Book),
) -> Result<(), String> {
    let (mut theirs, their_book, _) = Journal::open(folder.ledger(), key)?;
    let now = Timestamp::now();
    let all = their_book.leases();
    let count = all.len();
    let (taken, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|issued| issued.has_expired(now) || wanted(issued));
    if !taken.is_empty() {
        let ended = taken.iter().map(|issued| Row::Ended { lease: issued.lease.clone(), how: "taken_over".to_owned() }).collect::<Vec<_>>();
        let rows: Vec<_> = taken.into_iter().map(|issued| Row::Issued(Box::new(issued))).collect();
        journal.append(&rows).map_err(|error| error.to_string())?;
        rows.iter().for_each(|row| book.apply(row));
        if !left.is_empty() {
            theirs.append(&ended).map_err(|error| error.to_string())?;
        }
        tracing::debug!(taken = rows.len(), of = count, "a run that was killed left leases");
    }
    if left.is_empty() {
        folder.remove();
    }
    Ok(())
}
