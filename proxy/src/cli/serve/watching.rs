use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::Settings;
use crate::detect::{Baselines, Watch};
use crate::exchange::Shared;

/// Alerts that may wait for their responses.
const ALERTS_MAX: usize = 1_024;

/// Begins to look for abnormal reuse, where that is wanted.
///
/// # Errors
/// Where there is no thread.
pub(super) fn watching(settings: &Settings, shared: &Arc<Shared>) -> io::Result<()> {
    let Some(detect) = &settings.detect else { return Ok(()) };
    let (raised, _alerts) = mpsc::channel(ALERTS_MAX);
    Watch::new(Baselines::new(detect.settle)).start(&shared.audit, Arc::clone(&shared.live), &shared.metrics, raised)
}
