use std::sync::Arc;

use keygress_policy::Source as _;
use serde::Serialize;
use tokio::time::Instant;

use super::lease::{Lease, REVOCATION_TIME, end_all};
use super::{Credentials, Ended, Slot};
use crate::stops::Target;

/// A lease as people see it: names and times, no secret.
#[derive(Clone, Debug, Serialize)]
pub struct LeaseInForce {
    /// Ties the records of its life together.
    pub lease: String,
    /// Of which credential.
    pub credential: String,
    /// Who answers for that.
    pub owner: String,
    /// The provider that issued it.
    pub provider: &'static str,
    /// For which workload.
    pub workload: Option<String>,
    /// For which task.
    pub task: Option<String>,
    /// The rule whose request called for it first.
    pub rule: Option<String>,
    /// When it was issued.
    pub issued: String,
    /// Seconds until it ends by itself; absent where it does not.
    pub expires_in: Option<u64>,
    /// Whether its issuer can be told to revoke it.
    pub revocable: bool,
    /// Keyed fingerprint of the secret.
    pub fingerprint: String,
}

impl Credentials {
    /// Takes back at once what was issued for this target, and tells the issuers; at most 5 s. The slots stay: they fetch anew when they are
    /// asked again.
    pub fn recall(&self, target: &Target) -> impl Future<Output = Ended> + Send + use<> {
        let deadline = Instant::now() + REVOCATION_TIME;
        let leases = self.slots().iter().filter(|slot| slot.is_for(target)).flat_map(|slot| slot.recall()).collect();
        let ending = self.core().runtime.spawn(end_all(leases, Arc::clone(self.core()), deadline));
        async { ending.await.unwrap_or_default() }
    }

    /// Fetches what is always held ready and has no value: it was recalled, and may be used again.
    pub fn refill(&self) {
        self.slots().iter().filter(|slot| slot.is_kept_ready() && slot.ready().is_none()).for_each(Slot::begin);
    }

    /// Every lease that has not ended, by credential and age.
    #[must_use]
    pub fn leases(&self) -> Vec<LeaseInForce> {
        let mut leases: Vec<_> = self.slots().iter().flat_map(|slot| slot.leases()).map(|lease| LeaseInForce::of(&lease)).collect();
        leases.sort_by(|one, other| (&one.credential, &one.issued, &one.lease).cmp(&(&other.credential, &other.issued, &other.lease)));
        leases
    }
}

impl LeaseInForce {
    fn of(lease: &Lease) -> Self {
        let (task, workload) = lease.holder.parts();
        Self {
            lease: lease.id.to_string(),
            credential: lease.credential.name.to_string(),
            owner: lease.credential.owner.clone(),
            provider: lease.credential.source.kind(),
            workload: workload.map(str::to_owned),
            task: task.map(str::to_owned),
            rule: lease.rule.as_deref().map(str::to_owned),
            issued: format!("{:.0}", lease.issued),
            expires_in: lease.expires.map(|expires| expires.saturating_duration_since(Instant::now()).as_secs()),
            revocable: lease.handle.is_some(),
            fingerprint: lease.fingerprint.to_string(),
        }
    }
}
