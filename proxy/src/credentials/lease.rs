use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keygress_policy::material::Secret;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::keyring::Core;
use super::{Ended, Holder};
use crate::Credential;
use crate::audit::{Event, Kind};

/// Tries to revoke one lease while somebody waits for it.
const REVOCATION_TRIES: usize = 3;

/// The time in which those tries must be done: of the 5 s that a task or the process takes to end, the last is the audit's.
pub(super) const REVOCATION_TIME: Duration = Duration::from_secs(4);

/// One issuance: credential × holder, with its end and, where the issuer revokes, what it needs to be told.
pub(super) struct Lease {
    /// Random; ties the records of its life together.
    pub(super) id: Arc<str>,
    /// Of what.
    pub(super) credential: Arc<Credential>,
    /// For whom.
    pub(super) holder: Holder,
    /// The rule whose request called for it first.
    pub(super) rule: Option<Arc<str>>,
    /// When it was issued.
    pub(super) issued: Timestamp,
    /// Of the secret.
    pub(super) fingerprint: Arc<str>,
    /// When the issuer lets it end by itself; `None` where it does not.
    pub(super) expires: Option<Instant>,
    /// What the issuer is shown to revoke it; `None` where it cannot.
    pub(super) handle: Option<Secret>,
}

/// How the end of a lease went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Revoked,
    Dropped,
    Failed,
}

impl Lease {
    /// An event of this lease.
    pub(super) fn event(&self, kind: Kind) -> Event {
        let mut event = Event::new(kind);
        event.credential = Some(self.credential.name.shared());
        event.lease = Some(Arc::clone(&self.id));
        event.rule.clone_from(&self.rule);
        event.fingerprint = Some(Arc::clone(&self.fingerprint));
        match &self.holder {
            Holder::Shared => {}
            Holder::Task { id, workload } => {
                event.task = Some(Arc::clone(id));
                event.workload.clone_from(workload);
            }
            Holder::Workload(workload) => event.workload = Some(Arc::clone(workload)),
        }
        event
    }

    /// Ends it at the issuer, where that can be done, and records how that went. Tries three times, until the deadline.
    async fn end(&self, core: &Core, deadline: Instant) -> End {
        let Some(handle) = &self.handle else {
            let mut event = self.event(Kind::Revoked);
            event.code = Some("not_revocable");
            event.message = Some("the issuer cannot revoke it: it is refused here from now on".into());
            core.record(event).await;
            core.forget(self, "not_revocable");
            return End::Dropped;
        };
        let result = tokio::time::timeout_at(deadline, self.try_to_revoke(core, handle)).await;
        let result = result.unwrap_or_else(|_| Err("the issuer did not answer in time".to_owned()));
        core.metrics.revocation(result.is_ok());
        match result {
            Ok(()) => {
                core.record(self.event(Kind::Revoked)).await;
                core.forget(self, "revoked");
                End::Revoked
            }
            Err(reason) => {
                let credential = self.credential.name.as_str();
                tracing::error!(credential, lease = %self.id, %reason, "the lease could not be revoked");
                let mut event = self.event(Kind::RevokeFailed);
                event.message = Some(reason.into());
                core.record(event).await;
                End::Failed
            }
        }
    }

    async fn try_to_revoke(&self, core: &Core, handle: &Secret) -> Result<(), String> {
        let _turn = core.revocations.acquire().await;
        let mut backoff = Backoff::default();
        let mut tries = 0;
        loop {
            let result = self.credential.source.provider().revoke(&core.tools, handle).await;
            tries += 1;
            if result.is_ok() || tries == REVOCATION_TRIES {
                return result;
            }
            backoff.failed(Instant::now());
            tokio::time::sleep(backoff.rest(Instant::now())).await;
        }
    }

    /// Goes on trying in the background until the lease has ended by itself.
    async fn end_late(self: Arc<Self>, core: Arc<Core>) {
        let (Some(handle), Some(expires)) = (&self.handle, self.expires) else { return };
        let mut backoff = Backoff::default();
        loop {
            backoff.failed(Instant::now());
            tokio::time::sleep(backoff.rest(Instant::now())).await;
            if Instant::now() >= expires {
                core.forget(&self, "expired");
                return core.audit.record(self.event(Kind::Expired));
            }
            if self.credential.source.provider().revoke(&core.tools, handle).await.is_ok() {
                core.metrics.revocation(true);
                core.forget(&self, "revoked");
                return core.record(self.event(Kind::Revoked)).await;
            }
        }
    }
}

/// Ends leases side by side; those that fail are tried again in the background until they have ended by themselves.
pub(super) async fn end_all(leases: Vec<Arc<Lease>>, core: Arc<Core>, deadline: Instant) -> Ended {
    let mut ending = tokio::task::JoinSet::new();
    for lease in leases {
        let core = Arc::clone(&core);
        ending.spawn(async move {
            let end = lease.end(&core, deadline).await;
            if end == End::Failed {
                core.runtime.spawn(Arc::clone(&lease).end_late(Arc::clone(&core)));
            }
            end
        });
    }
    let mut ended = Ended::default();
    while let Some(end) = ending.join_next().await {
        match end {
            Ok(End::Revoked) => ended.revoked += 1,
            Ok(End::Dropped) => ended.dropped += 1,
            Ok(End::Failed) | Err(_) => ended.failed += 1,
        }
    }
    ended
}
