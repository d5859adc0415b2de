//! What happened lately, for those who look: the last events, what each rule and credential saw since the start, and who listens. Behind
//! the audit, in the thread that looks at it anyway; no request waits for it.

/// What each rule and each credential saw.
mod tally;

/// How many requests there were, span by span.
mod series;

/// Text in events.
mod filter;

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::audit::{Audit, Kind, Tap, Written};
use crate::metrics::Metrics;

pub use filter::{Filter, Matter};
pub use series::{SPAN_SECONDS, Span};
pub use tally::{Hits, Spender, Tally, Uses};

/// Events that are kept, at least: whole batches, so up to a batch more.
pub const EVENTS_MIN: usize = 1_000;

/// Alerts that are kept.
const ALERTS_MAX: usize = 200;

/// Batches that a listener may be behind; what it missed beyond is counted and told.
const BEHIND_MAX: usize = 256;

/// Batches that may wait to be looked at.
const BATCHES_MAX: usize = 256;

/// What was written at once.
pub type Batch = Arc<Vec<Written>>;

/// What happened lately.
pub struct Recent {
    state: Mutex<State>,
    listeners: broadcast::Sender<Batch>,
}

/// What is remembered.
#[derive(Default)]
pub struct State {
    /// Since when.
    pub since: Timestamp,
    /// What each rule and each credential saw.
    pub tally: Tally,
    /// How many requests there were, span by span.
    pub series: series::Series,
    /// The last alerts, oldest first.
    pub alerts: VecDeque<Written>,
    /// The last policy that came into force.
    pub loaded: Option<Written>,
    /// The last one that did not.
    pub rejected: Option<Written>,
    batches: VecDeque<Batch>,
    kept: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self::new()
    }
}

impl Recent {
    /// Nothing happened yet.
    #[must_use]
    pub fn new() -> Self {
        let state = State { since: Timestamp::now(), ..State::default() };
        Self { state: Mutex::new(state), listeners: broadcast::Sender::new(BEHIND_MAX) }
    }

    /// Looks at what the audit writes, in a thread of its own: where nobody else does.
    ///
    /// # Errors
    /// Where there is no thread.
    pub fn start(self: &Arc<Self>, audit: &Audit, metrics: &Metrics) -> io::Result<()> {
        let (batches, queue) = sync_channel(BATCHES_MAX);
        let recent = Arc::clone(self);
        let run = move |queue: Receiver<Vec<Written>>| queue.iter().for_each(|batch| recent.take(&Arc::new(batch)));
        let thread = std::thread::Builder::new().name("recent".into()).spawn(move || run(queue))?;
        let metrics = metrics.clone();
        audit.tap(Tap::new(batches, thread, move |lost| metrics.unwatched(lost)));
        Ok(())
    }

    /// Takes in what was written. Where nobody listens the batch is kept as it is, and nothing of it is copied.
    pub fn take(&self, batch: &Batch) {
        self.state().take(batch);
        // There may be no listener.
        let _ = self.listeners.send(Arc::clone(batch));
    }

    /// What was kept so far, and everything from now on: nothing between the two is missing, and nothing comes twice.
    #[must_use]
    pub fn listen(&self) -> (Vec<Batch>, broadcast::Receiver<Batch>) {
        let state = self.state();
        (state.batches.iter().cloned().collect(), self.listeners.subscribe())
    }

    /// Looks at what is remembered.
    pub fn with<T>(&self, work: impl FnOnce(&State) -> T) -> T {
        work(&self.state())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, batch: &Batch) {
        for written in batch.iter() {
            match written.event.kind {
                Kind::Used | Kind::Denied => {
                    self.series.count(written);
                    self.tally.count(written);
                }
                Kind::Alert => {
                    if self.alerts.len() == ALERTS_MAX {
                        self.alerts.pop_front();
                    }
                    self.alerts.push_back(written.clone());
                }
                Kind::PolicyLoaded => self.loaded = Some(written.clone()),
                Kind::PolicyRejected => self.rejected = Some(written.clone()),
                Kind::Issued
                | Kind::Intended
                | Kind::Scrubbed
                | Kind::Revoked
                | Kind::RevokeFailed
                | Kind::Expired
                | Kind::Stopped
                | Kind::Resumed
                | Kind::TaskOpened
                | Kind::TaskClosed
                | Kind::Ended
                | Kind::BaselineReset
                | Kind::Opened
                | Kind::Recovered
                | Kind::Gap
                | Kind::Checkpoint
                | Kind::Closed => {}
            }
        }
        self.kept += batch.len();
        self.batches.push_back(Arc::clone(batch));
        while let Some(oldest) = self.batches.front()
            && self.kept - oldest.len() >= EVENTS_MIN
        {
            self.kept -= oldest.len();
            self.batches.pop_front();
        }
    }
}
