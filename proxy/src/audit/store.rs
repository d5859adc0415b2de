//! Where lines end up: a file that holds whole lines only, standard output, memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use jiff::Timestamp;

use super::chain::{self, Head, LINE_BYTES_MAX};
use super::segments::{Rotation, Segments, put_aside};
use super::{Event, Kind, Sink};

/// An open sink and what it held when it was opened.
pub(super) struct Opened {
    /// Takes the lines.
    pub(super) store: Store,
    /// What the next line continues.
    pub(super) head: Head,
    /// What is to be recorded about the opening itself.
    pub(super) events: Vec<Event>,
}

/// Takes batches of whole lines.
pub(super) enum Store {
    /// A file, and those that were put aside before it.
    File(Segments),
    /// Standard output; what it took of a batch that failed cannot be taken back.
    Stdout,
    /// A receiver in this process. Lines for one that hung up are dropped.
    Memory(Sender<String>),
    /// A disk that a test has power over.
    #[cfg(test)]
    Faulty(Whole<Box<dyn Disk + Send>>),
}

/// Whether a batch must survive the machine, or only the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Handed to the kernel.
    Written,
    /// On the disk.
    Synced,
}

impl Store {
    /// Appends a batch of whole lines, or none of it.
    ///
    /// # Errors
    /// Where the sink refuses; the batch may be appended again.
    pub(super) fn append(&mut self, lines: &[u8], durability: Durability) -> io::Result<()> {
        match self {
            Self::File(segments) => segments.append(lines, durability),
            #[cfg(test)]
            Self::Faulty(whole) => whole.append(lines, durability),
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::Memory(lines_out) => {
                for line in String::from_utf8_lossy(lines).lines() {
                    // Whoever hung up wants no more lines.
                    let _ = lines_out.send(line.to_owned());
                }
                Ok(())
            }
        }
    }

    /// Whether the file is to be put aside.
    pub(super) fn is_due_to_rotate(&self, now: Timestamp) -> bool {
        matches!(self, Self::File(segments) if segments.is_due(now))
    }

    /// Puts the file aside.
    pub(super) fn rotate(&mut self) {
        if let Self::File(segments) = self {
            segments.rotate();
        }
    }

    /// Whether opening and closing are worth a record: only where the next process continues this chain.
    pub(super) fn outlives_process(&self) -> bool {
        match self {
            Self::File(_) => true,
            #[cfg(test)]
            Self::Faulty(_) => false,
            Self::Stdout | Self::Memory(_) => false,
        }
    }
}

/// What a disk must do, so that a test can make it fail.
pub(super) trait Disk {
    /// Appends some of the bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes the content durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the content to this length.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl Disk for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

#[cfg(test)]
impl Disk for Box<dyn Disk + Send> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (**self).write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        (**self).truncate(length)
    }
}

/// A disk on which every batch is whole: what failed halfway is cut off again, at once or before the next attempt.
pub(super) struct Whole<D> {
    disk: D,
    length: u64,
    torn: bool,
}

impl<D: Disk> Whole<D> {
    /// Continues a disk that holds this many bytes of whole lines.
    pub(super) fn new(disk: D, length: u64) -> Self {
        Self { disk, length, torn: false }
    }

    /// Bytes of whole lines.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Makes all of it durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.disk.sync()
    }

    /// Appends a batch of whole lines, or none of it.
    pub(super) fn append(&mut self, lines: &[u8], durability: Durability) -> io::Result<()> {
        if self.torn {
            self.disk.truncate(self.length)?;
        }
        self.torn = true;
        let outcome = self.write(lines, durability);
        match outcome {
            Ok(()) => {
                self.torn = false;
                self.length += lines.len() as u64;
            }
            Err(_) => self.torn = self.disk.truncate(self.length).is_err(),
        }
        outcome
    }

    fn write(&mut self, mut lines: &[u8], durability: Durability) -> io::Result<()> {
        while !lines.is_empty() {
            match self.disk.write(lines) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => lines = lines.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match durability {
            Durability::Written => Ok(()),
            Durability::Synced => self.disk.sync(),
        }
    }
}

/// Opens a sink and finds where its chain ends.
///
/// # Errors
/// See [`super::Audit::open`].
pub(super) fn open(sink: Sink, rotation: Rotation) -> io::Result<Opened> {
    match sink {
        Sink::File(path) => open_file(&path, rotation),
        Sink::Stdout => Ok(Opened { store: Store::Stdout, head: Head::empty(), events: Vec::new() }),
        Sink::Memory(lines) => Ok(Opened { store: Store::Memory(lines), head: Head::empty(), events: Vec::new() }),
    }
}

fn open_file(path: &Path, rotation: Rotation) -> io::Result<Opened> {
    let refuse = |why: String| io::Error::new(io::ErrorKind::InvalidInput, format!("audit file `{}` {why}", path.display()));
    let mut file = options().read(true).open(path).map_err(|error| refuse(format!("cannot be opened: {error}")))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refuse("is not a regular file".into()));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(refuse("belongs to another user".into()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(refuse("may be written by others: its mode must be 0600".into()));
    }
    if file.try_lock().is_err() {
        return Err(refuse("is in use by another process".into()));
    }
    let mut events = vec![Event::new(Kind::Opened)];
    let before = before(path)?.ok_or_else(|| refuse("follows a file that holds something else than audit records".into()))?;
    let Some(end) = find_end(&mut file, metadata.len(), before)? else {
        return Err(refuse("holds something else than audit records".into()));
    };
    let torn_bytes = metadata.len() - end.length;
    if torn_bytes > 0 {
        keep_torn(&mut file, path, end.length)?;
        file.set_len(end.length)?;
    }
    if let Some(message) = end.repair(torn_bytes) {
        events.push(Event { message: Some(message.into()), ..Event::new(Kind::Recovered) });
    }
    sync_parent(path)?;
    let mut segments = Segments::new(file, end.length, path)?;
    segments.rotate_by(rotation);
    Ok(Opened { store: Store::File(segments), head: end.head, events })
}

/// Where the chain was when the file was begun: at the end of the newest that was put aside.
fn before(path: &Path) -> io::Result<Option<Head>> {
    let aside = put_aside(path)?;
    let Some((_, newest)) = aside.last() else { return Ok(Some(Head::empty())) };
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(newest)?;
    let length = file.metadata()?.len();
    Ok(find_end(&mut file, length, Head::empty())?.map(|end| end.head))
}

pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    options
}

/// Where the last whole record ends.
struct End {
    head: Head,
    length: u64,
    is_closed: bool,
}

impl End {
    fn repair(&self, torn_bytes: u64) -> Option<String> {
        if torn_bytes > 0 {
            return Some(format!("{torn_bytes} bytes behind the last whole record were cut off and kept beside the file as `.torn`"));
        }
        let missing = "the process before this one ended without closing the audit: use events of its last 20 ms may be missing";
        (self.length > 0 && !self.is_closed).then(|| missing.to_owned())
    }
}

/// Looks back from the end for the last line whose own hash is right; `None` where the file holds something else.
fn find_end(file: &mut File, length: u64, before: Head) -> io::Result<Option<End>> {
    let window = length.min(2 * LINE_BYTES_MAX);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length - window))?;
    Read::by_ref(file).take(window).read_to_end(&mut tail)?;
    let mut end = tail.len();
    while let Some(newline) = tail.get(..end).and_then(|kept| memchr::memrchr(b'\n', kept)) {
        let start = tail.get(..newline).and_then(|kept| memchr::memrchr(b'\n', kept)).map_or(0, |before| before + 1);
        if let Ok(line) = chain::read(tail.get(start..newline).unwrap_or_default()) {
            let length = length - (tail.len() - newline - 1) as u64;
            return Ok(Some(End { head: line.head, length, is_closed: line.activity == Kind::Closed.as_str() }));
        }
        end = newline;
    }
    // Not one whole record: only a first line that was torn itself may be written over.
    let beginning = format!(r#"{{"seq":{},"#, before.seq + 1).into_bytes();
    let is_torn_first = window == length && (tail.starts_with(&beginning) || beginning.starts_with(&tail));
    Ok(is_torn_first.then_some(End { head: before, length: 0, is_closed: false }))
}

/// Keeps what is cut off: it may be evidence.
fn keep_torn(file: &mut File, path: &Path, from: u64) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    let mut kept = options().open(PathBuf::from(name))?;
    file.seek(SeekFrom::Start(from))?;
    io::copy(file, &mut kept)?;
    kept.sync_all()
}

pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}
