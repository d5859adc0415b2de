//! Credentials kept ready: the list of providers, and [`Credentials`], their only door.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use keygress_policy::inject::Rendered;
use keygress_policy::material::MaterialKind;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::audit::Audit;
use crate::metrics::Metrics;
use crate::{Credential, Policy};

/// The list of providers: the YAML key is the file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A file, read again when it changes.
    File(String),
}

impl keygress_policy::Source for Source {
    fn kind(&self) -> &'static str {
        unimplemented!()
    }
    fn yields(&self) -> MaterialKind {
        unimplemented!()
    }
    fn is_static(&self) -> bool {
        unimplemented!()
    }
    fn complaints(&self) -> Vec<(String, String)> {
        unimplemented!()
    }
}

pub use keygress_policy::workload::Holder;

/// A rendered value that may be used now.
#[derive(Debug)]
pub struct Ready {
    /// What is put on the request.
    pub rendered: Rendered,
    /// Keyed fingerprint: the same for the same secret.
    pub fingerprint: Arc<str>,
    /// The lease under which it is used.
    pub lease: Arc<str>,
    /// When it must no longer leave; `None` where it does not expire. Monotonic.
    pub expires: Option<Instant>,
}

/// Why there is no credential.
#[derive(Clone, Debug)]
pub struct Unavailable {
    /// What is missing, in words for the person who called; free of secrets and of text from outside.
    pub reason: String,
    /// When to try again, in seconds, where that can help.
    pub retry_after: Option<u64>,
}

/// One credential for one holder: the ready value, and the single flight that refreshes it.
#[derive(Debug)]
pub struct Slot {
    ready: ArcSwapOption<Ready>,
}

impl Slot {
    /// The ready value, unless there is none or it has expired. Allocates nothing, takes no lock.
    #[must_use]
    pub fn ready(&self) -> Option<Arc<Ready>> {
        unimplemented!("{:?}", self.ready)
    }

    /// The ready value; waits for the provider only when there is none. One mint for all who wait, at most 5 s.
    ///
    /// # Errors
    /// [`Unavailable`]. Never returns an expired value.
    pub async fn wait(self: &Arc<Self>) -> Result<Arc<Ready>, Unavailable> {
        unimplemented!()
    }

    /// The upstream answered 401 to this value: it is dropped (once), so that the next [`Slot::wait`] fetches a fresh one.
    pub fn invalidate(self: &Arc<Self>, refused: &Arc<Ready>) {
        unimplemented!("{refused:?}")
    }
}

/// What ending a task did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ended {
    /// Leases that the issuer revoked.
    pub revoked: usize,
    /// Leases that the issuer cannot revoke: dropped here at once.
    pub dropped: usize,
    /// Leases whose revocation failed.
    pub failed: usize,
}

/// All slots and leases of the process. Cheap to clone.
#[derive(Clone)]
pub struct Credentials {}

impl Credentials {
    /// Starts empty. Refreshes run on `runtime`.
    #[must_use]
    pub fn new(runtime: tokio::runtime::Handle, audit: Audit, metrics: Metrics) -> Self {
        let _ = (runtime, audit, metrics);
        unimplemented!()
    }

    /// The slot of a credential for a holder; made on first use. Takes a lock: the connection keeps what it got.
    #[must_use]
    pub fn slot(&self, credential: &Arc<Credential>, holder: Holder) -> Arc<Slot> {
        unimplemented!("{credential:?} {holder:?}")
    }

    /// A new policy is in force: slots whose credential left it or changed are revoked. Static credentials are fetched ahead.
    pub async fn adopt(&self, policy: &Policy) {
        unimplemented!("{policy:?}")
    }

    /// Whether every static credential of the policy in force has a value: part of readiness. Names those that have none.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        unimplemented!()
    }

    /// Revokes every lease of a task; its slots serve nothing from the moment of the call.
    pub async fn end_task(&self, task: &str) -> Ended {
        unimplemented!("{task}")
    }

    /// Revokes everything; nothing is served from the moment of the call.
    pub async fn shut_down(&self) -> Ended {
        unimplemented!()
    }
}
