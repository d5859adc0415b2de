use std::sync::Arc;

use anyhow::anyhow;
use tokio::sync::mpsc;

use crate::audit::{Setup, Signing, SigningKey, Sink};
use crate::config::Settings;
use crate::state;

/// How the audit is kept. It is signed where there is a key for it, or a state folder that keeps one.
///
/// # Errors
/// A key that cannot be read.
pub(super) fn recording(settings: &Settings, otlp: Option<mpsc::Sender<Arc<[u8]>>>) -> anyhow::Result<Setup> {
    let signing = signing(settings).map_err(|why| anyhow!(why))?;
    if let Some(signing) = &signing {
        tracing::info!(key = %signing.key.public(), "the audit is signed");
    }
    Ok(Setup {
        sink: settings.audit.clone(),
        is_strict: settings.audit_strict,
        signing,
        rotation: settings.audit_rotation,
        also: settings.audit_also.clone(),
        otlp,
    })
}

fn signing(settings: &Settings) -> Result<Option<Signing>, String> {
    let given = settings.audit_key.as_deref().map(SigningKey::read).transpose()?;
    let place = match &settings.audit {
        // Runs that share a folder share no audit.
        Sink::File(_) | Sink::Stdout => settings.state.as_ref().filter(|place| place.run.is_none()),
        // What is handed out within this process needs no proof.
        Sink::Memory(_) => None,
    };
    let key = match (given, place) {
        (Some(given), _) => given,
        (None, Some(place)) => state::signing_key(place)?,
        (None, None) => return Ok(None),
    };
    let anchor = match &settings.audit {
        Sink::File(audit) => place.map(|place| place.newest_checkpoint_of(audit)),
        Sink::Stdout | Sink::Memory(_) => None,
    };
    Ok(Some(Signing::with(key, anchor)))
}
