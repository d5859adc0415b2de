//! What must not come back: a credential's bytes in every form in which an upstream may echo them. Compiled when a value becomes
//! ready, never for a request; the response path only searches.

use std::ops::Range;
use std::sync::Arc;

use aho_corasick::packed::{self, Searcher};
use keygress_policy::material::Secret;

/// One form: how it is spelled, and whether bytes are it.
mod form;

/// How a form may begin.
mod head;

use form::{Fit, Form};
use head::{HEAD_BYTES, Head};

/// The shortest value that is looked for, in bytes. A shorter one would be found in ordinary text: its credential is not put on where
/// the answer must be searched.
pub const VALUE_BYTES_MIN: usize = 8;

/// The forms of one or more values, ready to be searched for.
pub struct Needles {
    forms: Vec<Form>,
    /// Every way in which a form begins.
    heads: Vec<Beginning>,
    search: Search,
    /// The first bytes of all heads, a bit each.
    first: [u64; 4],
}

/// A head, and the forms that may begin with it, by index.
struct Beginning {
    head: Head,
    forms: Vec<usize>,
}

/// How heads are found.
enum Search {
    /// By vectors of 16 or 32 bytes, so many heads by each.
    Packed(Vec<Searcher>),
    /// Byte by byte, where the machine has no such vectors.
    Plain,
}

/// How many heads one vector search takes; more would slow it down.
const HEADS_IN_A_SEARCH: usize = 32;

/// Whether more bytes will follow those that are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// They will: a form that has only begun counts.
    Follows,
    /// These were the last.
    Nothing,
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Needles({} forms, {} heads)", self.forms.len(), self.heads.len())
    }
}

impl Needles {
    /// The forms of these values; `None` where there is none, or one is shorter than [`VALUE_BYTES_MIN`].
    #[must_use]
    pub fn compile(values: &[Secret]) -> Option<Arc<Self>> {
        if values.is_empty() || values.iter().any(|value| value.len() < VALUE_BYTES_MIN) {
            return None;
        }
        let values = values.iter().map(|value| Arc::new(Secret::new(value.expose().to_vec())));
        Some(Self::of(values.flat_map(Form::all).collect()))
    }

    /// The forms of both: after a renewal neither the old nor the new value may come back.
    #[must_use]
    pub fn and(&self, other: &Self) -> Arc<Self> {
        Self::of(self.forms.iter().chain(&other.forms).cloned().collect())
    }

    fn of(forms: Vec<Form>) -> Arc<Self> {
        let mut heads: Vec<Beginning> = Vec::new();
        for (index, form) in forms.iter().enumerate() {
            for head in form.heads() {
                match heads.iter_mut().find(|known| known.head == head) {
                    Some(known) => known.forms.push(index),
                    None => heads.push(Beginning { head, forms: vec![index] }),
                }
            }
        }
        let mut first = [0; 4];
        for byte in heads.iter().filter_map(|beginning| beginning.head.first()) {
            if let Some(word) = first.get_mut(usize::from(byte >> 6)) {
                *word |= 1 << (byte & 63);
            }
        }
        let search = Search::of(&heads);
        Arc::new(Self { forms, heads, search, first })
    }

    /// Reports every occurrence, also those that overlap, in the order of their first bytes. Returns the place of the first form that
    /// has begun and may go on in what follows, or the number of bytes; what is reported begins before that place.
    pub fn search(&self, bytes: &[u8], rest: Rest, mut found: impl FnMut(Range<usize>)) -> usize {
        let mut from = 0;
        while let Some((beginning, start)) = self.next_head(bytes, from) {
            let tail = bytes.get(start..).unwrap_or_default();
            let forms = self.heads.get(beginning).into_iter().flat_map(|beginning| &beginning.forms);
            let mut longest = 0;
            for form in forms.filter_map(|index| self.forms.get(*index)) {
                match form.fit(tail) {
                    Fit::Whole(len) => longest = longest.max(len),
                    Fit::Begun if rest == Rest::Follows => return start,
                    Fit::Begun | Fit::Not => {}
                }
            }
            if longest > 0 {
                found(start..start + longest);
            }
            from = start + 1;
        }
        match rest {
            Rest::Nothing => bytes.len(),
            // No whole head begins so close to the end: only a piece of one can.
            Rest::Follows => {
                let close = from.max(bytes.len().saturating_sub(HEAD_BYTES - 1));
                (close..bytes.len()).find(|start| self.is_begun(bytes.get(*start..).unwrap_or_default())).unwrap_or(bytes.len())
            }
        }
    }

    /// The next head from this place on: its index, and where it begins.
    fn next_head(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        let Search::Packed(searchers) = &self.search else {
            let tails = (from..bytes.len()).map(|start| (bytes.get(start..).unwrap_or_default(), start));
            let mut heads = tails.filter(|(tail, _)| self.is_first(tail));
            return heads.find_map(|(tail, start)| Some((self.heads.iter().position(|known| tail.starts_with(&known.head))?, start)));
        };
        let mut best = None;
        let mut end = bytes.len();
        for (number, searcher) in searchers.iter().enumerate() {
            if let Some(found) = bytes.get(..end).filter(|_| from < end).and_then(|bytes| searcher.find_in(bytes, (from..end).into())) {
                best = Some((number * HEADS_IN_A_SEARCH + found.pattern().as_usize(), found.start()));
                end = found.end();
            }
        }
        best
    }

    /// Whether these few bytes are the beginning of a head.
    fn is_begun(&self, bytes: &[u8]) -> bool {
        self.is_first(bytes) && self.heads.iter().any(|beginning| beginning.head.starts_with(bytes))
    }

    /// Whether a head begins with the first of these bytes.
    fn is_first(&self, bytes: &[u8]) -> bool {
        let Some(first) = bytes.first() else { return false };
        self.first.get(usize::from(first >> 6)).is_some_and(|word| word >> (first & 63) & 1 == 1)
    }
}

impl Search {
    fn of(heads: &[Beginning]) -> Self {
        let packed = |heads: &[Beginning]| packed::Config::new().builder().extend(heads.iter().map(|beginning| beginning.head)).build();
        heads.chunks(HEADS_IN_A_SEARCH).map(packed).collect::<Option<_>>().map_or(Self::Plain, Self::Packed)
    }
}

#[cfg(test)]
mod tests;
