//! Rates, as shapes. The counters live in `proxy/src/limits.rs`.

/// How many requests, in what time, counted for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Requests allowed per `window_seconds`.
    pub count: u32,
    /// The window in seconds: 1, 60 or 3600.
    pub window_seconds: u32,
    /// For whom it counts.
    pub per: Per,
}

/// For whom a [`Limit`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// All callers of the rule together.
    Rule,
    /// Each workload apart.
    Workload,
    /// Each task apart.
    Task,
}
