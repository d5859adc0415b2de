use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use zeroize::Zeroizing;

use super::row::{Incomplete, Sure};
use super::zstd::Zstd;
use super::{Sighting, coded, search, tar};

/// How much of a text is searched at once, in bytes; a longer one is cut where a line ends.
const PIECE_BYTES: usize = 4 << 20;

/// How much of a piece without a line end is searched again with the next.
const OVERLAP_BYTES: usize = 16 << 10;

/// By how many bytes a file is known.
const HEAD_BYTES: usize = 1024;

/// How deep archives lie in archives: an image, its layer, an archive in that, and what is compressed in it.
const DEPTH_MAX: usize = 6;

/// Most keys that are told one by one.
const SIGHTINGS_MAX: usize = 100_000;

/// What comes of searching files.
pub(super) struct Collected {
    pub(super) sightings: Vec<Sighting>,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) binary: u64,
    pub(super) incomplete: Vec<Incomplete>,
    pub(super) more: u64,
    /// How many more bytes of archives are read.
    budget: u64,
}

/// Where a text comes from.
pub(super) struct Origin {
    pub(super) file: String,
    pub(super) changed: Option<i64>,
}

impl Collected {
    pub(super) fn new(archive_bytes_max: u64) -> Self {
        Self { sightings: Vec::new(), files: 0, bytes: 0, binary: 0, incomplete: Vec::new(), more: 0, budget: archive_bytes_max }
    }

    /// Searches one file, and what is in it. What cannot be read to its end is told.
    pub(super) fn file(&mut self, origin: &Origin, content: &mut dyn Read) {
        if let Err(error) = self.open(origin, content, 0) {
            self.told(&origin.file, error.to_string());
        }
    }

    pub(super) fn told(&mut self, file: &str, why: String) {
        if !self.incomplete.iter().any(|other| other.file == file) {
            self.incomplete.push(Incomplete { file: file.to_owned(), why });
        }
    }

    fn open(&mut self, origin: &Origin, content: &mut dyn Read, depth: usize) -> io::Result<()> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        content.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let mut whole = io::Read::chain(head.as_slice(), content);
        let is_gzip = head.starts_with(&[0x1f, 0x8b, 8]);
        let is_zstd = head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
        if is_gzip || is_zstd || tar::begins(&head) {
            if depth == DEPTH_MAX {
                return Err(io::Error::other(format!("archives lie more than {DEPTH_MAX} deep")));
            }
            if is_gzip {
                let mut plain = Bounded::new(MultiGzDecoder::new(whole), self.budget);
                let done = self.open(origin, &mut plain, depth + 1);
                return self.spend(&plain.left(), done);
            }
            if is_zstd {
                let mut plain = Bounded::new(Zstd::new(whole)?, self.budget);
                let done = self.open(origin, &mut plain, depth + 1);
                return self.spend(&plain.left(), done);
            }
            return tar::read(&mut whole, |entry, content| {
                let inner = Origin { file: format!("{}!{}", origin.file, entry.name), changed: entry.changed };
                match self.open(&inner, content, depth + 1) {
                    Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => Err(error),
                    Err(error) => {
                        self.told(&inner.file, error.to_string());
                        Ok(())
                    }
                    Ok(()) => Ok(()),
                }
            });
        }
        self.files += 1;
        if head.contains(&0) {
            self.binary += 1;
            return Ok(());
        }
        self.text(origin, &mut whole)
    }

    /// What was read of an archive is not read again.
    fn spend(&mut self, left: &u64, done: io::Result<()>) -> io::Result<()> {
        self.budget = self.budget.min(*left);
        done
    }

    fn text(&mut self, origin: &Origin, content: &mut dyn Read) -> io::Result<()> {
        let mut piece = Zeroizing::new(Vec::new());
        let mut line = 1;
        loop {
            let room = PIECE_BYTES.saturating_sub(piece.len()) as u64;
            let read = content.take(room).read_to_end(&mut piece);
            let is_last = !read.as_ref().is_ok_and(|read| *read as u64 == room);
            let cut = if is_last { piece.len() } else { memchr::memrchr(b'\n', &piece).map_or(piece.len(), |at| at + 1) };
            let text = piece.get(..cut).unwrap_or_default();
            self.bytes += text.len() as u64;
            self.search(origin, text, line);
            read?;
            if is_last {
                return Ok(());
            }
            line += memchr::memchr_iter(b'\n', text).count() as u64;
            // Without a line end the rest of a key may come with the next piece.
            let kept = if cut == piece.len() && !text.ends_with(b"\n") { cut.saturating_sub(OVERLAP_BYTES) } else { cut };
            piece.drain(..kept);
        }
    }

    fn search(&mut self, origin: &Origin, text: &[u8], first_line: u64) {
        let mut lines = Lines::new(text, first_line);
        for hit in search::find(text) {
            let (line, column) = lines.of(hit.at.start);
            let value = Zeroizing::new(text.get(hit.at).unwrap_or_default().to_vec());
            self.push(Sighting { coded: false, ..sighting(origin, hit.shape, hit.sure, value, line, column) });
        }
        let mut lines = Lines::new(text, first_line);
        for decoded in coded::decoded(text) {
            for hit in search::find(&decoded.text) {
                let (line, column) = lines.of(decoded.at);
                let value = Zeroizing::new(decoded.text.get(hit.at).unwrap_or_default().to_vec());
                self.push(Sighting { coded: true, ..sighting(origin, hit.shape, hit.sure, value, line, column) });
            }
        }
    }

    fn push(&mut self, sighting: Sighting) {
        let same = |other: &Sighting| {
            (&other.file, other.line, other.value.as_slice()) == (&sighting.file, sighting.line, sighting.value.as_slice())
        };
        // Pieces overlap, and a Secret may hold the same key twice.
        if self.sightings.iter().rev().take_while(|other| other.file == sighting.file).take(64).any(same) {
            return;
        }
        if self.sightings.len() < SIGHTINGS_MAX { self.sightings.push(sighting) } else { self.more += 1 }
    }
}

fn sighting(
    origin: &Origin,
    shape: &'static keygress_policy::preset::shape::Shape,
    sure: Sure,
    value: Zeroizing<Vec<u8>>,
    line: u64,
    column: u64,
) -> Sighting {
    Sighting {
        shape: Some(shape),
        kind: shape.id.to_owned(),
        value,
        sure,
        file: origin.file.clone(),
        line,
        column,
        coded: false,
        changed: origin.changed,
        author: None,
        by: "keygress",
    }
}

/// Lines of places that are asked for in order.
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
    line_start: usize,
}

impl<'t> Lines<'t> {
    fn new(text: &'t [u8], first: u64) -> Self {
        Self { text, at: 0, line: first, line_start: 0 }
    }

    /// Line and column of a place.
    fn of(&mut self, place: usize) -> (u64, u64) {
        for end in memchr::memchr_iter(b'\n', self.text.get(self.at..place).unwrap_or_default()) {
            self.line += 1;
            self.line_start = self.at + end + 1;
        }
        self.at = self.at.max(place);
        let before = self.text.get(self.line_start..place).unwrap_or_default();
        // Characters, and not the bytes of which they are made.
        (self.line, before.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64 + 1)
    }
}

/// A reader that fails where more comes than may.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R, left: u64) -> Self {
        Self { inner, left }
    }

    fn left(&self) -> u64 {
        self.left
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::QuotaExceeded, "it unpacks to more than `--unpack-max`: what follows was not searched")
        })?;
        Ok(read)
    }
}
