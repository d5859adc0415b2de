use std::sync::Arc;

use keygress_policy::Source as _;
use keygress_policy::name::RuleName;
use tokio::task::AbortHandle;

use super::Slot;
use crate::credentials::lease::Lease;
use crate::stops::{Subject, Target};

impl Slot {
    /// Names the rule for which a value is about to be asked; the first one stays.
    pub fn called_for_by(&self, rule: &RuleName) {
        self.lock().rule.get_or_insert_with(|| rule.shared());
    }

    /// The leases that have not ended.
    pub(in crate::credentials) fn leases(&self) -> Vec<Arc<Lease>> {
        self.lock().leases.iter().map(|held| Arc::clone(&held.lease)).collect()
    }

    /// Takes everything back: from here on the slot holds nothing, and what a fetch under way brings is not used.
    pub(in crate::credentials) fn recall(&self) -> Vec<Arc<Lease>> {
        let mut state = self.lock();
        state.recalls += 1;
        self.ready.store(None);
        let held = state.leases.drain(..);
        held.inspect(|held| held.keeper.iter().for_each(AbortHandle::abort)).map(|held| held.lease).collect()
    }

    /// Whether a stop of this target takes back what the slot holds.
    pub(in crate::credentials) fn is_for(&self, target: &Target) -> bool {
        let credential = &self.credential;
        let (task, workload) = self.holder.parts();
        match target.subject() {
            Subject::Credential => credential.name.as_str() == target.name(),
            Subject::Owner => credential.owner == target.name(),
            Subject::Task => task == Some(target.name()),
            Subject::Workload => workload == Some(target.name()),
            Subject::Host => target.host().is_some_and(|host| credential.only_to.iter().any(|own| own.covers(host) || host.covers(own))),
        }
    }

    /// Whether it always holds a value.
    pub(in crate::credentials) fn is_kept_ready(&self) -> bool {
        self.credential.source.is_static()
    }
}
