//! The hostile application: it can never read, redirect or outlive a credential. A module a class; every attack by every way in; after
//! each, every sink has been searched for the secrets of its ground. SECURITY.md names these tests beside its promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

/// Who is asked, and who may choose that.
mod destination;

/// Where a request ends and the next begins.
mod framing;

/// Which resource is meant.
mod paths;

/// Getting it back.
mod returning;

/// A second workload on the same proxy.
mod sharing;

/// What gives orders, and what keeps records.
mod control;

/// The admin page in a browser.
mod page;

/// Who proves which name to whom.
mod tls;

/// Who floods, loses.
mod exhaustion;

/// What the process writes anywhere.
mod sinks;

/// What SECURITY.md promises, and what shows it.
mod proofs;

/// The program that tries the same at anybody's proxy.
mod program;
