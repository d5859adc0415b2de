//! Counters between decide and credentials: a GCRA cell for each rule and whom it counts.

use keygress_policy::Rule;

/// The counters of this process.
#[derive(Debug, Default)]
pub struct Limits {}

impl Limits {
    /// Counts one request at this monotonic instant. `workload` and `task` are whom the rule may count for.
    ///
    /// # Errors
    /// Seconds until the next request is allowed.
    pub fn count(&self, rule: &Rule, workload: Option<&str>, task: Option<&str>, now: std::time::Instant) -> Result<(), u64> {
        let _ = (rule, workload, task, now);
        unimplemented!()
    }
}
