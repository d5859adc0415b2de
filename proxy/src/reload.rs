//! The policy in force, and its replacement: compiled off the request path, swapped atomically, last good kept.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::Policy;

/// One policy and its number. A request sees one snapshot from beginning to end.
#[derive(Debug)]
pub struct Snapshot {
    /// The policy.
    pub policy: Policy,
    /// Counts from 1 with every load of this process.
    pub generation: u64,
}

/// The policy in force.
#[derive(Debug)]
pub struct Live(pub ArcSwap<Snapshot>);

impl Live {
    /// Begins with this policy as generation 1.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self(ArcSwap::from_pointee(Snapshot { policy, generation: 1 }))
    }

    /// The snapshot in force now.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }
}
