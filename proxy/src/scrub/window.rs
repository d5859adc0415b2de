//! The stream of a body: masks what must not come back at equal length, and holds back no more than what may still become it.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::needles::{Needles, Rest};

/// What stands in the place of a masked byte.
const MASK: u8 = b'*';

/// What is known of a stream so far.
#[derive(Debug)]
pub struct Window {
    needles: Arc<Needles>,
    /// The beginning of a form, as it came: what follows decides.
    held: Bytes,
    /// How many of the held bytes belong to an occurrence that began before them.
    owed: usize,
    masked: u64,
}

impl Window {
    /// A stream of which nothing came yet.
    #[must_use]
    pub fn new(needles: Arc<Needles>) -> Self {
        Self { needles, held: Bytes::new(), owed: 0, masked: 0 }
    }

    /// Takes what came and gives back what may go on: the very same bytes where nothing was found and nothing is held.
    #[must_use]
    pub fn pass(&mut self, chunk: Bytes) -> Bytes {
        let bytes = if self.held.is_empty() {
            chunk
        } else if chunk.is_empty() {
            return chunk;
        } else {
            let mut joined = BytesMut::with_capacity(self.held.len() + chunk.len());
            joined.extend_from_slice(&self.held);
            joined.extend_from_slice(&chunk);
            joined.freeze()
        };
        self.sift(bytes, Rest::Follows)
    }

    /// What was held back, once nothing more comes.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() { held } else { self.sift(held, Rest::Nothing) }
    }

    /// How many bytes are held back.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// How many occurrences were masked.
    #[must_use]
    pub fn masked(&self) -> u64 {
        self.masked
    }

    fn sift(&mut self, mut bytes: Bytes, rest: Rest) -> Bytes {
        let mut found: Vec<Range<usize>> = Vec::new();
        if self.owed > 0 {
            found.push(0..self.owed);
        }
        let needles = &self.needles;
        let mut count = 0;
        let open = needles.search(&bytes, rest, |range| {
            count += 1;
            found.push(range);
        });
        self.masked += count;
        // What is held is held as it came: another form that overlaps the masked one may have begun in it.
        self.held = bytes.split_off(open);
        self.owed = found.iter().map(|range| range.end).max().unwrap_or_default().saturating_sub(open);
        if found.is_empty() { bytes } else { mask(bytes, &found) }
    }
}

/// The bytes with these ranges masked, each as far as it lies inside; in place where nobody else holds them.
fn mask(bytes: Bytes, found: &[Range<usize>]) -> Bytes {
    let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    let len = bytes.len();
    for range in found {
        if let Some(part) = bytes.get_mut(range.start.min(len)..range.end.min(len)) {
            part.fill(MASK);
        }
    }
    bytes.freeze()
}

/// A text that is complete in itself, with what must not come back masked; `None` where there is none.
#[must_use]
pub(super) fn masked(needles: &Needles, text: &[u8]) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    needles.search(text, Rest::Nothing, |range| found.push(range));
    if found.is_empty() { None } else { Some(mask(Bytes::copy_from_slice(text), &found).into()) }
}
