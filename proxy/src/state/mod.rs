//! What outlives the process: leases that are alive, and what was stopped by hand. Rows are appended, fsynced before what they say takes
//! effect, chained by a keyed hash, and compacted; what revokes a lease is encrypted.

/// The key of a state folder, and what is derived from it.
mod key;

/// The rows.
mod row;

/// What the rows add up to.
mod book;

/// The file: read back, repaired, appended to.
mod journal;

/// The key that signs the audit.
mod signing_key;

/// The key under which secrets have their fingerprints.
mod fingerprint_key;

/// The folder: whose it is, and the lock that keeps a second process out.
mod folder;

/// Runs that share a folder.
mod runs;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use book::Book;
use folder::Folder;
use journal::Journal;
use runs::Runs;

pub use fingerprint_key::fingerprint_key;
pub use folder::private_folder;
pub use key::Key;
pub use row::{Issued, Row, Stopped};
pub use signing_key::signing_key;

/// How long a row may take to become durable.
const DURABLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Rows written at once.
const BATCH_MAX: usize = 256;

/// The rows of this process. Cheap to clone. Dropping the last clone closes it.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    key: Key,
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What an earlier process left in the folder.
#[derive(Debug, Default)]
pub struct Found {
    /// Leases that had not ended.
    pub leases: Vec<Issued>,
    /// Stops that were in force.
    pub stops: Vec<Stopped>,
    /// What had to be repaired, in one sentence.
    pub repaired: Option<String>,
}

/// A row on its way, and who waits for it.
struct Job {
    row: Row,
    done: Option<oneshot::Sender<io::Result<()>>>,
}

impl Ledger {
    /// Opens the folder, which is made where it is missing, and takes over what earlier processes left there: of runs that were killed,
    /// the leases that are wanted.
    ///
    /// # Errors
    /// Where the folder is not ours alone or in use, or its rows are not what was written with this key.
    pub fn open(place: &Place, key: Key, wanted: &dyn Fn(&Issued) -> bool) -> Result<(Self, Found), String> {
        let runs = Runs::enter(&place.folder)?;
        let folder = match &place.run {
            Some(run) => runs.own(run)?,
            None => Folder::open(&place.folder)?,
        };
        let (mut journal, mut book, repaired) = Journal::open(folder.ledger(), &key)?;
        runs.take_over(&key, wanted, (&mut journal, &mut book));
        drop(runs);
        let found = Found { leases: book.leases(), stops: book.stops(), repaired };
        let (jobs, queue) = mpsc::channel();
        let writer = Writer { folder, is_run: place.run.is_some(), journal, book, unwritten: Vec::new() };
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || writer.run(&queue));
        let thread = thread.map_err(|error| format!("the ledger cannot be kept: {error}"))?;
        let inner = Inner { key, jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) };
        Ok((Self { inner: Arc::new(inner) }, found))
    }

    /// Writes a row and returns when it is durable, within a second. Needs a tokio runtime with time.
    ///
    /// # Errors
    /// Where the disk refuses: what depended on it must not happen.
    pub async fn write(&self, row: Row) -> io::Result<()> {
        let (done, outcome) = oneshot::channel();
        self.send(Job { row, done: Some(done) })?;
        match tokio::time::timeout(DURABLE_TIMEOUT, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the ledger did not take a row within 1 s")),
        }
    }

    /// Writes a row soon. Where that fails it is tried again with the next one: the end of a lease, which a later process would only see
    /// again.
    pub fn note(&self, row: Row) {
        // A closed ledger belongs to a process that has ended.
        let _ = self.send(Job { row, done: None });
    }

    /// The key of the folder.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.inner.key
    }

    /// Writes what is queued and closes. Blocks.
    pub fn close(&self) {
        self.inner.close();
    }

    fn send(&self, job: Job) -> io::Result<()> {
        let jobs = self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.as_ref().ok_or_else(closed)?.send(job).map_err(|_| closed())
    }
}

impl Inner {
    fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the ledger thread panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn closed() -> io::Error {
    io::Error::other("the ledger is closed")
}

/// The thread's own.
struct Writer {
    folder: Folder,
    /// Whether the folder is one run's, and goes with it where it holds nothing.
    is_run: bool,
    journal: Journal,
    book: Book,
    /// Rows that nobody waits for and that the disk refused.
    unwritten: Vec<Row>,
}

impl Writer {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let jobs: Vec<_> = std::iter::once(first).chain(queue.try_iter().take(BATCH_MAX - 1)).collect();
            self.commit(jobs);
        }
        self.commit(Vec::new());
        if self.is_run && self.book.len() == 0 && self.unwritten.is_empty() {
            self.folder.remove();
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let late = std::mem::take(&mut self.unwritten).into_iter().map(|row| Job { row, done: None });
        let (rows, waiting): (Vec<Row>, Vec<_>) = late.chain(jobs).map(|Job { row, done }| (row, done)).unzip();
        if rows.is_empty() {
            return;
        }
        let outcome = self.journal.append(&rows);
        for (row, done) in rows.into_iter().zip(waiting) {
            match (&outcome, &done) {
                (Ok(()), _) => self.book.apply(&row),
                // What somebody waited for does not happen; the others are tried again.
                (Err(_), Some(_)) => {}
                (Err(_), None) => self.unwritten.push(row),
            }
            let told = match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), format!("the ledger takes no rows: {error}"))),
            };
            // Whoever stopped waiting was told so by its timeout.
            drop(done.map(|done| done.send(told)));
        }
        if let Err(error) = &outcome {
            tracing::error!(%error, "the ledger takes no rows");
        }
        if outcome.is_ok() && self.journal.is_worth_compacting(self.book.len()) {
            // Where it fails the longer file stays: nothing is lost.
            if let Err(error) = self.journal.compact(&self.book) {
                tracing::warn!(%error, "the ledger could not be compacted");
            }
        }
    }
}

/// Where a process keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// The file that holds its key.
    pub key: PathBuf,
    /// The name of this run, where the process is one of several that share the folder. Without it the folder is the process's own.
    pub run: Option<String>,
}

impl Place {
    /// Where the newest checkpoint of this audit file is kept.
    #[must_use]
    pub fn newest_checkpoint_of(&self, audit: &Path) -> PathBuf {
        let audit = std::path::absolute(audit).unwrap_or_else(|_| audit.to_owned());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, audit.as_os_str().as_encoded_bytes());
        let name: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("audit-checkpoint-{name}"))
    }
}

#[cfg(test)]
mod tests;
