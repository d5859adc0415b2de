//! Benchmarks of keygress: they measure, tests assert. Nothing here links the proxy: what is measured is always a process of its own.

/// What a run yields: figures with their units, and the bars they are held against.
pub mod results;

/// What is measured: the scenarios by name.
pub mod scenario;

/// Who is measured: keygress and its peers, as child processes.
pub mod contender;

/// The client: requests at a pace, every response checked, latencies from the intended send time.
pub mod load;

/// The server behind the proxies.
pub mod upstream;

/// The token issuer.
pub mod issuer;

/// CPU time and memory of a process.
pub mod meter;

/// What people read of a run.
pub mod report;

/// Policies of any size, made from a number.
pub mod policies;

/// A load on a user's own policy.
pub mod own;

/// One request to a server of ours.
mod ask;

/// Streams and bodies of client and servers.
mod wire;

/// An HTTP server on loopback.
mod serve;

/// Processes of this very program.
pub mod child;

pub use policies::policy_of;
