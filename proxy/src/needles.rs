//! What must not come back: a credential's bytes in every form in which an upstream may echo them. Compiled when a value becomes
//! ready, never for a request; the response path only searches.

use std::ops::Range;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
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

/// Finds the leftmost head.
enum Search {
    /// By vectors of 16 or 32 bytes.
    Packed(Box<Searcher>),
    /// Byte by byte, where the machine has no such vectors or there are too many heads for them.
    Automaton(Box<AhoCorasick>),
}

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
        Self::of(values.flat_map(Form::all).collect())
    }

    /// The forms of both: after a renewal neither the old nor the new value may come back.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Arc<Self>> {
        Self::of(self.forms.iter().chain(&other.forms).cloned().collect())
    }

    fn of(forms: Vec<Form>) -> Option<Arc<Self>> {
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
        let search = Search::of(heads.iter().map(|beginning| &beginning.head))?;
        Some(Arc::new(Self { forms, heads, search, first }))
    }

    /// Reports every occurrence, also those that overlap, in the order of their first bytes. Returns the place of the first form that
    /// has begun and may go on in what follows, or the number of bytes; what is reported begins before that place.
    pub fn search(&self, bytes: &[u8], rest: Rest, mut found: impl FnMut(Range<usize>)) -> usize {
        let mut from = 0;
        while let Some((beginning, start)) = self.search.next(bytes, from) {
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

    /// Whether these few bytes are the beginning of a head.
    fn is_begun(&self, bytes: &[u8]) -> bool {
        let Some(first) = bytes.first() else { return false };
        let known = self.first.get(usize::from(first >> 6)).is_some_and(|word| word >> (first & 63) & 1 == 1);
        known && self.heads.iter().any(|beginning| beginning.head.starts_with(bytes))
    }
}

impl Search {
    fn of<'h>(heads: impl Iterator<Item = &'h Head> + Clone) -> Option<Self> {
        let packed = packed::Config::new().builder().extend(heads.clone()).build();
        match packed {
            Some(searcher) => Some(Self::Packed(Box::new(searcher))),
            None => AhoCorasick::new(heads).ok().map(|automaton| Self::Automaton(Box::new(automaton))),
        }
    }

    /// The next head from this place on: its index and where it begins.
    fn next(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        if from >= bytes.len() {
            return None;
        }
        match self {
            Self::Packed(searcher) => {
                let found = searcher.find_in(bytes, (from..bytes.len()).into())?;
                Some((found.pattern().as_usize(), found.start()))
            }
            Self::Automaton(automaton) => {
                let found = automaton.find(aho_corasick::Input::new(bytes).range(from..))?;
                Some((found.pattern().as_usize(), found.start()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
