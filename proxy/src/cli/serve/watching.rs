use std::sync::Arc;

use anyhow::{Context, anyhow};
use rustls::RootCertStore;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::Settings;
use crate::detect::{Baselines, Keeper, Watch, Webhook, respond};
use crate::exchange::Shared;
use crate::recent::Recent;

/// Alerts that may wait for their responses.
const ALERTS_MAX: usize = 1_024;

/// Who looks for abnormal reuse, and who answers it.
pub(super) struct Watching {
    /// What is usual.
    pub(super) watch: Arc<Watch>,
    /// Ends when every alert was answered and told.
    pub(super) answering: JoinHandle<()>,
}

/// Begins to look for abnormal reuse, where that is wanted, and to remember what happened for whoever asks on the admin socket.
///
/// # Errors
/// A webhook that cannot be told anything; no thread.
pub(super) fn watching(
    settings: &Settings,
    shared: &Arc<Shared>,
    roots: &Arc<RootCertStore>,
) -> anyhow::Result<(Arc<Recent>, Option<Watching>)> {
    let memory = Arc::new(Recent::new());
    // Without the socket nobody can ask.
    let recent = settings.admin_socket.is_some().then(|| Arc::clone(&memory));
    let Some(detect) = &settings.detect else {
        recent.map(|recent| recent.start(&shared.audit, &shared.metrics)).transpose().context("nothing can remember what happened")?;
        return Ok((memory, None));
    };
    let webhook = detect.webhook.as_ref().map(|hook| Webhook::new(&hook.url, &hook.secret, Arc::clone(roots), &shared.metrics));
    let webhook = webhook.transpose().map_err(|why| anyhow!(why))?;
    let mut baselines = Baselines::new(detect.settle);
    let keeper = keeper(settings, shared);
    if let Some(keeper) = &keeper {
        match keeper.read() {
            Ok(kept) => baselines.restore(kept),
            Err(why) => tracing::warn!("{why}"),
        }
    }
    let watch = Watch::new(baselines, keeper);
    let (raised, alerts) = mpsc::channel(ALERTS_MAX);
    watch
        .start(&shared.audit, Arc::clone(&shared.live), &shared.metrics, (raised, recent))
        .context("nothing can look for abnormal reuse")?;
    let (telling, told) = webhook.map(Webhook::start).unzip();
    let answers = respond(Arc::clone(shared), alerts, telling);
    let answering = tokio::spawn(async move {
        match told {
            Some(told) => drop(tokio::join!(answers, told)),
            None => answers.await,
        }
    });
    Ok((memory, Some(Watching { watch, answering })))
}

/// Where what is usual outlives the process: not of a run, which ends before anything settles.
fn keeper(settings: &Settings, shared: &Shared) -> Option<Keeper> {
    let place = settings.state.as_ref().filter(|place| place.run.is_none())?;
    Some(Keeper::new(place, shared.ledger.as_ref()?.key().clone()))
}
