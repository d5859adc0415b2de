//! The thread that looks at what was written, and what it raises.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use keygress_policy::destination::Host;
use keygress_policy::response::Detector as Name;
use tokio::sync::mpsc;

use super::hush::Hush;
use super::{Baselines, Detector, Finding, Ground, Keeper, Seen, detectors};
use crate::audit::{Audit, Event, Evidence, Kind, Remarks, Tap, Written};
use crate::metrics::Metrics;
use crate::recent::Recent;
use crate::reload::Live;
use crate::stops::Subject;

/// Batches of records that may wait to be looked at; more are not looked at, and counted.
const BATCHES_MAX: usize = 256;

/// How often what is usual is kept.
const KEPT_EVERY: Duration = Duration::from_secs(60);

/// An alert, and what a response to it needs.
#[derive(Clone, Debug)]
pub struct Raised {
    /// Who raised it.
    pub detector: Name,
    /// As it is on record.
    pub event: Event,
    /// When.
    pub time: Timestamp,
    /// Whom a response stops.
    pub whom: Option<(Subject, Arc<str>)>,
    /// The credential whose value is out.
    pub leaked: Option<Arc<str>>,
}

/// The detectors and what they know. When things happened, they are told.
pub struct Watch {
    state: Mutex<State>,
}

struct State {
    detectors: Vec<Box<dyn Detector>>,
    baselines: Baselines,
    hush: Hush,
    /// Where what is usual is kept.
    keeper: Option<Keeper>,
    /// Whether it is not what was kept.
    is_changed: bool,
}

impl Watch {
    /// With these baselines, which are kept where there is a keeper.
    #[must_use]
    pub fn new(baselines: Baselines, keeper: Option<Keeper>) -> Arc<Self> {
        let state = State { detectors: detectors(), baselines, hush: Hush::new(), keeper, is_changed: false };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// From now on looks at what the audit has written, in a thread of its own. What it raises goes on record, is counted, and is handed
    /// to `raised`, which nobody waits for. `recent` sees it first, where there is one.
    ///
    /// # Errors
    /// Where there is no thread.
    pub fn start(
        self: &Arc<Self>,
        audit: &Audit,
        live: Arc<Live>,
        metrics: &Metrics,
        (raised, recent): (mpsc::Sender<Raised>, Option<Arc<Recent>>),
    ) -> io::Result<()> {
        let (batches, queue) = sync_channel(BATCHES_MAX);
        let outlet = Outlet { remarks: audit.remarks(), metrics: metrics.clone(), raised, recent };
        let watch = Arc::clone(self);
        let thread = std::thread::Builder::new().name("detect".into()).spawn(move || watch.run(&queue, &live, &outlet))?;
        let metrics = metrics.clone();
        audit.tap(Tap::new(batches, thread, move |lost| metrics.unwatched(lost)));
        Ok(())
    }

    fn run(&self, queue: &Receiver<Vec<Written>>, live: &Live, outlet: &Outlet) {
        let mut kept_at = Instant::now();
        loop {
            let left = KEPT_EVERY.saturating_sub(kept_at.elapsed());
            match queue.recv_timeout(left) {
                Ok(batch) => {
                    let batch = Arc::new(batch);
                    if let Some(recent) = &outlet.recent {
                        recent.take(&batch);
                    }
                    self.look(&batch, live, outlet);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if kept_at.elapsed() >= KEPT_EVERY {
                self.state().keep();
                kept_at = Instant::now();
            }
        }
        self.state().keep();
    }

    fn look(&self, batch: &[Written], live: &Live, outlet: &Outlet) {
        let snapshot = live.load();
        let reaches =
            |name: &str, host: &Host| Some(snapshot.policy.credential_named(name)?.only_to.iter().any(|pattern| pattern.matches(host)));
        let mut state = self.state();
        for written in batch.iter().filter(|written| is_looked_at(written.event.kind)) {
            state.take(written, &reaches).into_iter().for_each(|raised| outlet.tell(raised));
        }
    }

    /// Forgets what is usual of one credential, or of all, here and where it is kept; says of how many.
    pub fn reset(&self, credential: Option<&str>) -> usize {
        let mut state = self.state();
        let count = state.baselines.reset(credential);
        state.is_changed |= count > 0;
        state.keep();
        count
    }

    /// What one record raises.
    #[must_use]
    pub fn take(&self, written: &Written, reaches: &dyn Fn(&str, &Host) -> Option<bool>) -> Vec<Raised> {
        self.state().take(written, reaches)
    }

    /// Looks at what is usual.
    pub fn with_baselines<T>(&self, work: impl FnOnce(&Baselines) -> T) -> T {
        work(&self.state().baselines)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a detector can find anything in what is of this kind.
fn is_looked_at(kind: Kind) -> bool {
    matches!(kind, Kind::Used | Kind::Denied | Kind::Stopped | Kind::Resumed | Kind::TaskClosed)
}

/// Where alerts go, and what was looked at.
struct Outlet {
    remarks: Remarks,
    metrics: Metrics,
    raised: mpsc::Sender<Raised>,
    recent: Option<Arc<Recent>>,
}

impl Outlet {
    fn tell(&self, raised: Raised) {
        self.metrics.alert(raised.detector);
        self.remarks.record(raised.event.clone());
        // Where so many wait already, what waits is of the same kind: it is on record all the same.
        let _ = self.raised.try_send(raised);
    }
}

impl State {
    /// Keeps what is usual, where it is to be kept and has changed.
    fn keep(&mut self) {
        let Some(keeper) = self.keeper.as_ref().filter(|_| self.is_changed) else { return };
        match keeper.write(&self.baselines) {
            Ok(()) => self.is_changed = false,
            Err(error) => tracing::warn!(%error, "what is usual could not be kept"),
        }
    }

    fn take(&mut self, written: &Written, reaches: &dyn Fn(&str, &Host) -> Option<bool>) -> Vec<Raised> {
        let Written { event, time } = written;
        let seen = Seen { event, at: time.as_millisecond() };
        if let Event { kind: Kind::Used, credential: Some(credential), lease: Some(_), .. } = event {
            self.baselines.touch(credential, seen.at);
            self.is_changed = true;
        }
        let mut raised = Vec::new();
        for detector in &mut self.detectors {
            let mut ground = Ground { reaches, baselines: &mut self.baselines };
            let Some(finding) = detector.see(&seen, &mut ground) else { continue };
            let name = detector.name();
            if let Some(repeated) = self.hush.tell(&format!("{} {}", name.as_str(), finding.matter), seen.at) {
                let (whom, leaked) = (finding.whom.clone(), finding.leaked.clone());
                raised.push(Raised { detector: name, event: alert(name, event, finding, repeated), time: *time, whom, leaked });
            }
        }
        raised
    }
}

/// The record of an alert: what raised it, and why.
fn alert(name: Name, about: &Event, finding: Finding, repeated: u64) -> Event {
    let Finding { expected, seen, since, events, leaked, .. } = finding;
    let since = since.and_then(|since| Timestamp::from_millisecond(since).ok());
    let rests = since.map(|since| format!(", since {since:.0} over {events} events")).unwrap_or_default();
    let more = if repeated > 0 { format!("; {repeated} more like the last alert") } else { String::new() };
    let message = format!("expected {expected}{rests}; seen: {seen}{more}");
    Event {
        kind: Kind::Alert,
        code: Some(name.as_str()),
        message: Some(message.into()),
        credential: leaked.or_else(|| about.credential.clone()),
        evidence: Some(Box::new(Evidence { expected, seen, since, events, repeated })),
        status: None,
        masked: None,
        shown: None,
        ..about.clone()
    }
}

/// How long a baseline takes to settle where nothing else is said.
pub const SETTLE: Duration = Duration::from_secs(24 * 60 * 60);
