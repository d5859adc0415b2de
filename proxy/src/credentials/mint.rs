use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::time::Instant;

use super::fingerprint::random_name;
use super::keyring::Core;
use super::lease::{Lease, REVOCATION_TIME, end_all};
use super::purpose::Purpose;
use super::renewal::Schedule;
use super::{Fetched, Holder, Ready, identity};
use crate::Credential;
use crate::audit::Kind;
use crate::client_auth::ClientAuth;
use crate::known::Thing;
use crate::needles::Needles;

/// What a fetch brought.
pub(super) enum Minted {
    /// The static value that is ready already.
    Same,
    /// A value under a lease of its own.
    Fresh { ready: Arc<Ready>, lease: Arc<Lease>, schedule: Option<Schedule> },
}

/// Fetches, renders and records. Nothing is given back before its `issued` record is durable. Where the fetch is `given_up`, nothing
/// is issued.
///
/// # Errors
/// What is missing, free of secrets and of text from outside. What the issuer gave is then revoked again.
pub(super) async fn mint(
    core: &Arc<Core>,
    credential: &Arc<Credential>,
    holder: &Holder,
    (current, rule): (&ArcSwapOption<Ready>, Option<Arc<str>>),
    given_up: impl Future,
) -> Result<Minted, String> {
    let began = Instant::now();
    let terms = terms(credential, began)?;
    let provider = credential.source.provider();
    let purpose = Purpose { credential: credential.name.clone(), holder: holder.clone() };
    let fetched = tokio::select! {
        fetched = provider.fetch(&core.tools, &purpose) => fetched,
        _ = given_up => return Err("nobody wants it any more".to_owned()),
    };
    let Fetched { material, lifetime, handle } = fetched.inspect_err(|_| core.metrics.mint(provider.kind(), false, began.elapsed()))?;
    let took = began.elapsed();
    let before = current.load().as_ref().and_then(|ready| ready.expires).map(Instant::from_std);
    let schedule = match (lifetime, terms) {
        (Some(lifetime), Some(terms)) => Some(Schedule::renewed(began, lifetime.min(terms.ends_at - began), before)),
        (Some(lifetime), None) => Some(Schedule::renewed(began, lifetime, before)),
        (None, terms) => terms,
    };
    let fingerprint = core.fingerprints.of(&material);
    if lifetime.is_none() && current.load().as_ref().is_some_and(|ready| ready.fingerprint == fingerprint) {
        return Ok(Minted::Same);
    }
    core.metrics.mint(provider.kind(), true, took);
    let rendered = credential.injection.render(&material).and_then(|rendered| {
        let certified = rendered.certificate().map(identity::certified).transpose()?;
        Ok((rendered, certified))
    });
    let lease = Arc::new(Lease {
        id: random_name(),
        credential: Arc::clone(credential),
        holder: holder.clone(),
        rule,
        issued: Timestamp::now(),
        fingerprint: Arc::clone(&fingerprint),
        expires: schedule.map(|schedule| schedule.ends_at),
        handle: handle.filter(|_| provider.revokes()),
    });
    let mut issued = lease.event(Kind::Issued);
    issued.expires_in = lifetime.map(|lifetime| lifetime.as_secs());
    // Both on the disk before the first use.
    let (kept, recorded) = tokio::join!(core.keep(&lease), core.audit.durable(issued));
    let recorded = recorded.map_err(|_| "the audit cannot record that it was issued".to_owned());
    match kept.and(recorded).and(rendered) {
        Ok((rendered, certified)) => {
            let expires = schedule.map(|schedule| schedule.usable_until.into_std());
            let needles = Needles::compile(rendered.needles());
            for secret in rendered.needles() {
                let (credential, lease) = (credential.name.shared(), Arc::clone(&lease.id));
                core.known.add(secret, Thing::Value { credential, lease, fingerprint: Arc::clone(&fingerprint) });
            }
            let client_auth = certified.map(|key| Arc::new(ClientAuth::new(Arc::clone(&lease.id), key)));
            let ready = Arc::new(Ready { rendered, client_auth, needles, fingerprint, lease: Arc::clone(&lease.id), expires });
            Ok(Minted::Fresh { ready, lease, schedule })
        }
        Err(reason) => {
            end_all(vec![lease], Arc::clone(core), Instant::now() + REVOCATION_TIME).await;
            Err(reason)
        }
    }
}

/// Until when the terms of a static credential let it be used.
fn terms(credential: &Credential, began: Instant) -> Result<Option<Schedule>, String> {
    let Some(terms) = &credential.static_terms else { return Ok(None) };
    let Some(end) = terms.end() else { return Ok(None) };
    match Duration::try_from(end.duration_since(Timestamp::now())) {
        Ok(left) if !left.is_zero() => Ok(Some(Schedule::fixed(began, left))),
        Ok(_) | Err(_) => Err(format!("its last day was {}: rotate the key, then write the new date under `static`", terms.expires)),
    }
}
