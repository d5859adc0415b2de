//! What the client saw.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// What came of a load.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Responses that were right in every respect.
    pub right: u64,
    /// What went wrong, by kind: `status 502`, `wrong credential`, `length`, `timed out`, `refused`, `broke off`, …
    pub errors: BTreeMap<String, u64>,
    /// From the first request that counts to the last.
    pub took: Duration,
    /// Latency of the right responses, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Requests that were never sent because the end came first (constant pace only).
    pub unsent: u64,
    /// Bytes of bodies that came down.
    pub bytes_down: u64,
    /// Bytes of bodies that went up.
    pub bytes_up: u64,
    /// CPU time of the client's own threads.
    pub client_cpu: Duration,
}

impl Measured {
    /// Right responses per second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        if self.took.is_zero() { 0.0 } else { self.right as f64 / self.took.as_secs_f64() }
    }

    /// How many went wrong.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        self.errors.values().sum()
    }
}
