//! On record, allowed or not: JSON lines, hash-chained.

use std::path::Path;
use std::sync::Arc;

use crate::metrics::Metrics;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A provider issued material: a lease begins.
    Issued,
    /// A request was sent, with or without a credential.
    Used,
    /// A request was refused.
    Denied,
    /// A lease was revoked.
    Revoked,
    /// Its revocation failed.
    RevokeFailed,
    /// A lease expired.
    Expired,
    /// A policy came into force.
    PolicyLoaded,
    /// A policy was rejected; the last good one stays.
    PolicyRejected,
    /// Abnormal reuse.
    Alert,
}

/// One event. Ids and names only, never a secret; the sink adds time, sequence and chain.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// Id of the request.
    pub request: Option<u64>,
    /// Way in: `forward`, `intercept`, `tunnel`, `route`.
    pub way: Option<&'static str>,
    /// The caller, as recognised and as proven.
    pub workload: Option<Arc<str>>,
    /// Task id.
    pub task: Option<Arc<str>>,
    /// The caller's uid and pid.
    pub uid: Option<u32>,
    /// The caller's pid.
    pub pid: Option<u32>,
    /// Request method.
    pub method: Option<http::Method>,
    /// `scheme://host:port` of the destination.
    pub destination: Option<String>,
    /// Path without query.
    pub path: Option<String>,
    /// Rule that decided.
    pub rule: Option<Arc<str>>,
    /// Credential.
    pub credential: Option<Arc<str>>,
    /// Lease.
    pub lease: Option<Arc<str>>,
    /// Keyed fingerprint of the secret.
    pub fingerprint: Option<Arc<str>>,
    /// Refusal code, or error code.
    pub code: Option<&'static str>,
    /// HTTP status that the caller got.
    pub status: Option<u16>,
    /// Policy generation.
    pub generation: Option<u64>,
    /// Seconds until expiry of what was issued.
    pub expires_in: Option<u64>,
    /// One sentence, free of text from outside.
    pub message: Option<String>,
}

impl Event {
    /// An event of this kind with nothing else said.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            request: None,
            way: None,
            workload: None,
            task: None,
            uid: None,
            pid: None,
            method: None,
            destination: None,
            path: None,
            rule: None,
            credential: None,
            lease: None,
            fingerprint: None,
            code: None,
            status: None,
            generation: None,
            expires_in: None,
            message: None,
        }
    }
}

/// Where the audit goes.
#[derive(Clone, Debug)]
pub enum Sink {
    /// A file, appended to, 0600.
    File(std::path::PathBuf),
    /// Standard output.
    Stdout,
    /// Lines kept in memory and handed out: `demo` and tests.
    Memory(std::sync::mpsc::Sender<String>),
}

/// The audit of this process. Cheap to clone.
#[derive(Clone)]
pub struct Audit {}

impl Audit {
    /// Opens the sink, recovers a torn tail, continues its chain and starts the writer thread.
    ///
    /// # Errors
    /// Where the sink cannot be opened or its last record cannot be read.
    pub fn open(sink: Sink, metrics: Metrics) -> std::io::Result<Self> {
        let _ = (sink, metrics);
        unimplemented!()
    }

    /// Records an event soon: bounded loss (20 ms) if the process is killed.
    pub fn record(&self, event: Event) {
        unimplemented!("{event:?}")
    }

    /// Records an event and returns when it is durable.
    ///
    /// # Errors
    /// Where the sink refuses: what depended on it must not happen.
    pub async fn durable(&self, event: Event) -> std::io::Result<()> {
        unimplemented!("{event:?}")
    }

    /// Whether the sink takes records: part of readiness; requests with a credential are refused while it does not.
    #[must_use]
    pub fn healthy(&self) -> bool {
        unimplemented!()
    }

    /// Writes what is queued and closes. Blocks.
    pub fn close(&self) {
        unimplemented!()
    }
}

/// What `audit verify` found.
#[derive(Debug, serde::Serialize)]
pub struct Verified {
    /// Records read.
    pub records: u64,
    /// The first bad record: line number from 1, and why.
    pub first_bad: Option<(u64, String)>,
}

/// Verifies the chain of an audit file.
///
/// # Errors
/// Where the file cannot be read.
pub fn verify(file: &Path) -> std::io::Result<Verified> {
    unimplemented!("{file:?}")
}
