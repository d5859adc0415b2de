//! What watches the answer to one request: its body while it streams, and its trailers.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http_body::SizeHint;

use super::coding::{Inflate, Spoilt};
use super::head;
use super::window::{Window, masked};
use crate::needles::Needles;

/// What an answer turned out to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sifted {
    /// How many occurrences were masked; a header or trailer field, or a control frame, counts as one.
    pub masked: u64,
    /// Why its coding could not be taken off, where it could not.
    pub spoilt: Option<Spoilt>,
}

/// Is told at the end, where something was masked or the answer had to be broken off.
type Witness = Box<dyn FnOnce(Sifted) + Send>;

/// Takes what comes and gives what may go on.
pub struct Sieve {
    needles: Arc<Needles>,
    /// Absent where the body is not searched.
    window: Option<Window>,
    inflate: Option<Box<Inflate>>,
    /// What may go on.
    ready: Bytes,
    ended: bool,
    fields: u64,
    spoilt: Option<Spoilt>,
    witness: Option<Witness>,
}

impl std::fmt::Debug for Sieve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sieve").field("window", &self.window).field("inflate", &self.inflate).finish_non_exhaustive()
    }
}

impl Sieve {
    /// Watches trailers alone.
    pub(super) fn of_fields(needles: Arc<Needles>, fields: u64) -> Self {
        Self::new(needles, None, None, fields)
    }

    /// Watches the body too.
    pub(super) fn of_body(needles: Arc<Needles>, fields: u64, inflate: Option<Inflate>) -> Self {
        let window = Window::new(Arc::clone(&needles));
        Self::new(needles, Some(window), inflate.map(Box::new), fields)
    }

    fn new(needles: Arc<Needles>, window: Option<Window>, inflate: Option<Box<Inflate>>, fields: u64) -> Self {
        Self { needles, window, inflate, ready: Bytes::new(), ended: false, fields, spoilt: None, witness: None }
    }

    /// Tells this witness once the answer has ended or was given up.
    #[must_use]
    pub fn told_to(mut self, witness: impl FnOnce(Sifted) + Send + 'static) -> Self {
        self.witness = Some(Box::new(witness));
        self
    }

    /// Takes data of the body; what came before must have been given.
    pub fn take(&mut self, data: Bytes) {
        match (&mut self.inflate, &mut self.window) {
            (Some(inflate), _) => inflate.feed(data),
            (None, Some(window)) => self.ready = window.pass(data),
            (None, None) => self.ready = data,
        }
    }

    /// The next data that may go on; `None` until more is taken.
    ///
    /// # Errors
    /// [`Spoilt`]: the body must end as broken.
    pub fn give(&mut self) -> Result<Option<Bytes>, Spoilt> {
        if self.ready.is_empty()
            && !self.ended
            && let (Some(inflate), Some(window)) = (&mut self.inflate, &mut self.window)
        {
            while let Some(piece) = inflate.piece().inspect_err(|spoilt| self.spoilt = Some(*spoilt))? {
                self.ready = window.pass(piece);
                if !self.ready.is_empty() {
                    break;
                }
            }
        }
        Ok(if self.ready.is_empty() { None } else { Some(std::mem::take(&mut self.ready)) })
    }

    /// No more data comes: what was held back may be given.
    ///
    /// # Errors
    /// [`Spoilt`] where the end of its coding is missing.
    pub fn end(&mut self) -> Result<(), Spoilt> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        if let Some(inflate) = &mut self.inflate {
            inflate.finish().inspect_err(|spoilt| self.spoilt = Some(*spoilt))?;
        }
        if let Some(window) = &mut self.window {
            self.ready = window.finish();
        }
        Ok(())
    }

    /// A message is whole: what was held back may be given. More may come.
    pub(super) fn flush(&mut self) {
        if let Some(window) = &mut self.window {
            self.ready = window.finish();
        }
    }

    /// A text that is complete in itself, masked.
    pub(super) fn text(&mut self, text: Bytes) -> Bytes {
        match masked(&self.needles, &text) {
            None => text,
            Some(masked) => {
                self.fields += 1;
                masked.into()
            }
        }
    }

    /// Whether bodies are searched, and not fields alone.
    pub(super) fn searches_bodies(&self) -> bool {
        self.window.is_some()
    }

    /// Whether the end was told.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing more would be given if no more came.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let held = self.window.as_ref().is_some_and(|window| window.held_bytes() > 0);
        self.ready.is_empty() && (self.ended || self.inflate.is_none() && !held)
    }

    /// Masks trailers.
    pub fn trailers(&mut self, trailers: &mut HeaderMap) {
        self.fields += head::fields(&self.needles, trailers);
    }

    /// How much will be given, from how much will come.
    #[must_use]
    pub fn size_hint(&self, coming: &SizeHint) -> SizeHint {
        if self.inflate.is_some() {
            return SizeHint::default();
        }
        let here = self.ready.len() as u64 + self.window.as_ref().map_or(0, |window| window.held_bytes() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(coming.lower().saturating_add(here));
        if let Some(upper) = coming.upper() {
            hint.set_upper(upper.saturating_add(here));
        }
        hint
    }
}

impl Drop for Sieve {
    fn drop(&mut self) {
        let masked = self.fields + self.window.as_ref().map_or(0, Window::masked);
        if (masked > 0 || self.spoilt.is_some())
            && let Some(witness) = self.witness.take()
        {
            witness(Sifted { masked, spoilt: self.spoilt });
        }
    }
}
