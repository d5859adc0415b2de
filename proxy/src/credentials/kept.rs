use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use jiff::Timestamp;
use keygress_policy::Source as _;
use keygress_policy::material::Secret;
use tokio::time::Instant;

use super::Credentials;
use super::keyring::{Core, definition};
use super::lease::{Lease, REVOCATION_TIME, end_all};
use crate::audit::{Event, Kind};
use crate::state::{Issued, Ledger, Row};
use crate::{Credential, Policy};

impl Core {
    /// Keeps a lease where a later process finds it; durable when it returns. A static key is no lease of an issuer.
    ///
    /// # Errors
    /// Where the ledger refuses: then the lease must not be used.
    pub(super) async fn keep(&self, lease: &Lease) -> Result<(), String> {
        let Some(ledger) = self.ledger.as_ref().filter(|_| !lease.credential.source.is_static()) else { return Ok(()) };
        let kept = match row(ledger, lease) {
            Ok(row) => ledger.write(Row::Issued(Box::new(row))).await,
            Err(error) => Err(error),
        };
        kept.map_err(|error| {
            tracing::error!(lease = %lease.id, %error, "the ledger could not keep a lease");
            "the ledger cannot keep what revokes it".to_owned()
        })
    }

    /// A lease has ended: no later process need know it.
    pub(super) fn forget(&self, lease: &Lease, how: &str) {
        if let Some(ledger) = self.ledger.as_ref().filter(|_| !lease.credential.source.is_static()) {
            ledger.note(Row::Ended { lease: lease.id.to_string(), how: how.to_owned() });
        }
    }
}

impl Credentials {
    /// Ends what an earlier process left: revoked at its issuer where the policy still has the credential as it was, in the background, and
    /// tried again until it ends by itself. How that went is on record.
    pub fn sweep(&self, left: Vec<Issued>, policy: &Policy) {
        let core = self.core();
        let mut leases = Vec::new();
        for issued in left {
            let expired = issued.has_expired(Timestamp::now());
            let credential = policy.credentials().iter().find(|credential| is_of(&issued, credential));
            match credential {
                _ if expired => {
                    core.audit.record(event(&issued, Kind::Expired));
                    if let Some(ledger) = &core.ledger {
                        ledger.note(Row::Ended { lease: issued.lease, how: "expired".to_owned() });
                    }
                }
                Some(credential) => leases.push(lease(core, issued, credential)),
                None => core.audit.record(Event {
                    code: Some("not_in_policy"),
                    message: Some(
                        "an earlier process left it, and the policy no longer has its credential in that form: nobody can revoke it".into(),
                    ),
                    ..event(&issued, Kind::RevokeFailed)
                }),
            }
        }
        if !leases.is_empty() {
            tracing::warn!(leases = leases.len(), "an earlier process left leases: they are revoked");
            core.in_background(end_all(leases, Arc::clone(core), Instant::now() + REVOCATION_TIME));
        }
    }
}

fn row(ledger: &Ledger, lease: &Lease) -> std::io::Result<Issued> {
    let (task, workload) = lease.holder.parts();
    let handle = lease.handle.as_ref().map(|handle| ledger.key().seal(&lease.id, handle.expose())).transpose()?;
    let left = lease.expires.map(|expires| expires.saturating_duration_since(Instant::now()));
    let expires = left.and_then(|left| Timestamp::now().checked_add(left).ok()).map(Timestamp::as_second);
    Ok(Issued {
        lease: lease.id.to_string(),
        credential: lease.credential.name.to_string(),
        definition: digest_of(&lease.credential),
        provider: lease.credential.source.kind().to_owned(),
        workload: workload.map(str::to_owned),
        task: task.map(str::to_owned),
        rule: lease.rule.as_deref().map(str::to_owned),
        fingerprint: lease.fingerprint.to_string(),
        issued: lease.issued.as_second(),
        expires,
        handle,
    })
}

/// What a lease was, as far as ending it needs. A handle that cannot be opened is none.
fn lease(core: &Core, issued: Issued, credential: &Arc<Credential>) -> Arc<Lease> {
    let unseal = |sealed: &String| core.ledger.as_ref()?.key().unseal(&issued.lease, sealed);
    let handle = issued.handle.as_ref().and_then(unseal).map(|mut handle| Secret::new(std::mem::take(&mut *handle)));
    let left = issued.expires.map(|expires| Duration::from_secs(u64::try_from(expires - Timestamp::now().as_second()).unwrap_or_default()));
    Arc::new(Lease {
        id: issued.lease.as_str().into(),
        credential: Arc::clone(credential),
        holder: issued.holder(),
        rule: issued.rule.as_deref().map(Into::into),
        issued: Timestamp::from_second(issued.issued).unwrap_or_default(),
        fingerprint: issued.fingerprint.as_str().into(),
        expires: left.and_then(|left| Instant::now().checked_add(left)),
        handle,
    })
}

fn event(issued: &Issued, kind: Kind) -> Event {
    Event {
        workload: issued.workload.as_deref().map(Into::into),
        task: issued.task.as_deref().map(Into::into),
        rule: issued.rule.as_deref().map(Into::into),
        credential: Some(issued.credential.as_str().into()),
        lease: Some(issued.lease.as_str().into()),
        fingerprint: Some(issued.fingerprint.as_str().into()),
        ..Event::new(kind)
    }
}

/// Whether this policy may end what was issued: it has the credential as it was.
#[must_use]
pub fn may_end(issued: &Issued, policy: &Policy) -> bool {
    policy.credentials().iter().any(|credential| is_of(issued, credential))
}

/// Only the same credential may revoke: what was issued by one issuer is not shown to another.
fn is_of(issued: &Issued, credential: &Credential) -> bool {
    credential.name.as_str() == issued.credential && digest_of(credential) == issued.definition
}

fn digest_of(credential: &Credential) -> String {
    let digest = digest::digest(&digest::SHA256, definition(credential).as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
