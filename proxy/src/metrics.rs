//! Prometheus metrics on resolved handles: no label lookup on the request path.

/// The metrics of this process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Sent, with a credential.
    Injected,
    /// Sent without.
    Passed,
    /// Refused.
    Denied,
    /// The upstream or a credential failed.
    Failed,
}

impl Metrics {
    /// A fresh registry.
    #[must_use]
    pub fn new() -> Self {
        unimplemented!()
    }

    /// One request ended.
    pub fn request(&self, outcome: Outcome, code: Option<&'static str>) {
        unimplemented!("{outcome:?} {code:?}")
    }

    /// One connection was accepted (+1) or ended (-1).
    pub fn connection(&self, change: i64) {
        unimplemented!("{change}")
    }

    /// A mint ended: `ok` or a failure, of this provider kind.
    pub fn mint(&self, provider: &'static str, ok: bool) {
        unimplemented!("{provider} {ok}")
    }

    /// A revocation ended.
    pub fn revocation(&self, ok: bool) {
        unimplemented!("{ok}")
    }

    /// A policy load ended; `generation` is the one now in force.
    pub fn policy(&self, ok: bool, generation: u64) {
        unimplemented!("{ok} {generation}")
    }

    /// The audit sink took or lost records.
    pub fn audit(&self, written: u64, lost: u64) {
        unimplemented!("{written} {lost}")
    }

    /// The text exposition format.
    #[must_use]
    pub fn expose(&self) -> String {
        unimplemented!()
    }
}
