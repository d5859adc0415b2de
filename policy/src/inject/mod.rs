//! The list of injections: how a credential goes on the wire. One file each.

use http::request::Parts;
use http::{HeaderName, HeaderValue};

use crate::material::{Material, MaterialKind, Secret};

/// What happens to what the application itself sent in the injected slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Existing {
    /// It is replaced.
    #[default]
    Overwrite,
    /// The slot must be empty: a request that brings a value of its own is refused.
    IfAbsent,
    /// The slot must hold exactly the placeholder of this credential and task.
    RequirePlaceholder,
}

/// How a credential goes on the wire.
#[derive(Debug)]
pub enum Injection {
    /// Replaced by the list.
    Bearer,
}

/// Material rendered for one injection: made when the material is fetched, so that a request only clones reference counts.
#[derive(Debug)]
pub struct Rendered {
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) query: Option<(String, Secret)>,
    /// What must not come back: the secret in each form it went out in.
    pub(crate) needles: Vec<Secret>,
}

impl Rendered {
    /// The secret in each form in which it goes out: for the scrubber only.
    #[must_use]
    pub fn needles(&self) -> &[Secret] {
        &self.needles
    }
}

/// Why a request's own content in the slot is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotRefusal {
    /// `if_absent` and the slot is occupied.
    Occupied,
    /// `require_placeholder` and the slot is empty, or holds something else.
    NotThePlaceholder,
}

impl Injection {
    /// The YAML key, such as `bearer`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        unimplemented!()
    }

    /// The material that it takes.
    #[must_use]
    pub fn takes(&self) -> MaterialKind {
        unimplemented!()
    }

    /// Renders fresh material for the wire; header values are marked sensitive.
    ///
    /// # Errors
    /// A message that names what is wrong with the material (a newline, a control byte, empty), never the material.
    pub fn render(&self, material: &Material) -> Result<Rendered, String> {
        unimplemented!("{material:?}")
    }

    /// Checks what the application sent in the slot. Called before the credential is fetched; `placeholder` is this task's.
    ///
    /// # Errors
    /// [`SlotRefusal`], by the credential's [`Existing`] mode.
    pub fn admit(&self, head: &Parts, placeholder: Option<&Secret>) -> Result<(), SlotRefusal> {
        unimplemented!("{head:?} {placeholder:?}")
    }

    /// Puts the credential on: whatever stood in the slot is gone afterwards. Allocates nothing where the head has spare capacity.
    ///
    /// # Errors
    /// Where the URI cannot carry it (query key only); the head is then unchanged.
    pub fn act(&self, head: &mut Parts, rendered: &Rendered) -> Result<(), String> {
        unimplemented!("{head:?} {rendered:?}")
    }
}

/// Removes the caller's own credential-shaped slots (Authorization, Cookie, `x-api-key`, `?key=`, … a closed list) but for the headers in `keep`.
pub fn strip(head: &mut Parts, keep: &[HeaderName]) {
    unimplemented!("{head:?} {keep:?}")
}
