//! The policy in force, and its replacement: compiled off the request path, swapped atomically, last good kept.

/// The files of a policy.
mod files;

/// The folders in which a change is noticed.
mod watch;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use keygress_policy::problem::{Problem, Severity, SourceFile};
use tokio::sync::{oneshot, watch as channel};

use crate::Policy;
use crate::audit::{Audit, Event, Kind};
use crate::metrics::Metrics;

use files::Fingerprint;
pub use files::read;
use watch::Watch;

/// How long the files must be quiet before they are read.
const QUIET: Duration = Duration::from_millis(30);

/// The longest that files which are never quiet put a load off.
const QUIET_MAX: Duration = Duration::from_millis(300);

/// The files are read this often where nothing was noticed: file systems without notification, replaced parent folders.
const POLL: Duration = Duration::from_secs(10);

/// One policy and its number. A request sees one snapshot from beginning to end.
#[derive(Debug)]
pub struct Snapshot {
    /// The policy.
    pub policy: Policy,
    /// Counts from 1 with every load of this process.
    pub generation: u64,
}

/// The policy in force, and why the one on disk is not, where it is not.
#[derive(Debug)]
pub struct Live {
    snapshot: ArcSwap<Snapshot>,
    failure: ArcSwapOption<String>,
}

impl Live {
    /// Begins with this policy as generation 1.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { snapshot: ArcSwap::from_pointee(Snapshot { policy, generation: 1 }), failure: ArcSwapOption::empty() }
    }

    /// The snapshot in force now.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Why the last load failed; `None` where what is on disk is in force.
    #[must_use]
    pub fn last_failure(&self) -> Option<Arc<String>> {
        self.failure.load_full()
    }

    /// Puts a policy in force. Only one thread replaces. Returns the snapshot before.
    fn replace(&self, policy: Policy) -> Arc<Snapshot> {
        let generation = self.snapshot.load().generation + 1;
        let before = self.snapshot.swap(Arc::new(Snapshot { policy, generation }));
        self.failure.store(None);
        before
    }
}

/// Compiles the files of a policy as of today (UTC); warnings come beside it.
///
/// # Errors
/// Every problem.
pub fn compile(files: &[SourceFile]) -> Result<(Policy, Vec<Problem>), Vec<Problem>> {
    Policy::compile(files, jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date())
}

/// Says why a policy that compiles may not come into force.
pub type Ceiling = Box<dyn Fn(&Policy) -> Result<(), String> + Send>;

/// What a reloader needs.
pub struct Sources {
    /// Files and folders that together are the policy.
    pub paths: Vec<PathBuf>,
    /// What was read from them for the policy that is in force now.
    pub files: Vec<SourceFile>,
    /// The last word on a policy that compiles.
    pub ceiling: Ceiling,
}

/// How far the reloader is. Published after every attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Attempts that found other files than before, or were asked for.
    pub attempts: u64,
    /// The generation in force.
    pub generation: u64,
    /// Why the last attempt failed.
    pub failure: Option<Arc<String>>,
}

/// Replaces the policy when its files change. Dropping it stops that.
pub struct Reloader {
    wake: mpsc::Sender<Wake>,
    progress: channel::Receiver<Progress>,
    thread: Option<JoinHandle<()>>,
}

/// Where the outcome of a load goes that somebody asked for.
type Answer = oneshot::Sender<Result<u64, Arc<String>>>;

enum Wake {
    Noticed(notify::Result<notify::Event>),
    Asked(Answer),
    Stopped,
}

impl Reloader {
    /// Records the policy that is in force as loaded, and watches its files from now on.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn start(sources: Sources, live: Arc<Live>, audit: Audit, metrics: Metrics) -> io::Result<Self> {
        let (wake, woken) = mpsc::channel();
        let generation = live.load().generation;
        let (publish, progress) = channel::channel(Progress { attempts: 0, generation, failure: None });
        let noticed = wake.clone();
        let watch = Watch::new(move |event| drop(noticed.send(Wake::Noticed(event))));
        let loader = Loader {
            seen: Fingerprint::of(&Ok(sources.files)),
            paths: sources.paths,
            ceiling: sources.ceiling,
            live,
            audit,
            metrics,
            watch,
            publish,
            retired: Vec::new(),
        };
        loader.accepted(generation);
        let thread = std::thread::Builder::new().name("reload".into()).spawn(move || loader.run(&woken))?;
        Ok(Self { wake, progress, thread: Some(thread) })
    }

    /// Loads now, whether or not the files changed. Returns the generation that came into force.
    ///
    /// # Errors
    /// Why the policy was rejected; the last good one stays.
    pub async fn reload(&self) -> Result<u64, Arc<String>> {
        let (answer, answered) = oneshot::channel();
        let stopped = || Arc::new("the reloader has stopped".to_owned());
        self.wake.send(Wake::Asked(answer)).map_err(|_| stopped())?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Follows every attempt from now on.
    #[must_use]
    pub fn progress(&self) -> channel::Receiver<Progress> {
        self.progress.clone()
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        // Where the thread is gone already there is nobody to tell.
        let _ = self.wake.send(Wake::Stopped);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the reload thread panicked");
        }
    }
}

/// The thread's own.
struct Loader {
    paths: Vec<PathBuf>,
    seen: Fingerprint,
    ceiling: Ceiling,
    live: Arc<Live>,
    audit: Audit,
    metrics: Metrics,
    watch: Watch,
    publish: channel::Sender<Progress>,
    /// Policies that were replaced and that a request may still hold: to drop thousands of rules is no work for a worker.
    retired: Vec<Arc<Snapshot>>,
}

impl Loader {
    fn run(mut self, woken: &mpsc::Receiver<Wake>) {
        // To compile is work for idle times: on Linux this is the thread's own priority, and lowering it is never refused.
        let _ = rustix::process::nice(10);
        loop {
            self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
            // Watching comes before reading: what changes in between is noticed and read again.
            self.watch.cover(&self.paths);
            self.load_if_changed();
            match self.wait(woken) {
                Some(asked) => asked.into_iter().for_each(|answer| drop(answer.send(self.load_anyway()))),
                None => return,
            }
        }
    }

    /// Waits until there is a reason to read the files, and until they are quiet. `None` where the reloader was stopped.
    fn wait(&self, woken: &mpsc::Receiver<Wake>) -> Option<Vec<Answer>> {
        let mut asked = Vec::new();
        let mut until = Instant::now() + POLL;
        let mut latest = None;
        loop {
            match woken.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Wake::Noticed(event)) if self.watch.concerns(&event) => {
                    let latest = *latest.get_or_insert_with(|| Instant::now() + QUIET_MAX);
                    until = latest.min(Instant::now() + QUIET);
                }
                Ok(Wake::Noticed(_)) => {}
                Ok(Wake::Asked(answer)) => {
                    asked.push(answer);
                    until = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => return Some(asked),
                Ok(Wake::Stopped) | Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn load_if_changed(&mut self) {
        let files = read(&self.paths);
        let found = Fingerprint::of(&files);
        if found != self.seen {
            self.seen = found;
            // The outcome is on record; nobody waits for it.
            let _ = self.load(files);
        }
    }

    fn load_anyway(&mut self) -> Result<u64, Arc<String>> {
        let files = read(&self.paths);
        self.seen = Fingerprint::of(&files);
        self.load(files)
    }

    /// One attempt: the new policy comes into force, or the last good one stays and the reason is kept.
    fn load(&mut self, files: io::Result<Vec<SourceFile>>) -> Result<u64, Arc<String>> {
        let judged = catch_unwind(AssertUnwindSafe(|| self.judge(files)));
        let outcome = judged.unwrap_or_else(|_| Err("keygress failed on this policy: please report it".to_owned()));
        let outcome = match outcome {
            Ok(mut policy) => {
                policy.succeed(&self.live.snapshot.load().policy);
                self.retired.push(self.live.replace(policy));
                let generation = self.live.snapshot.load().generation;
                self.accepted(generation);
                Ok(generation)
            }
            Err(reason) => Err(self.rejected(reason)),
        };
        self.publish.send_modify(|progress| {
            progress.attempts += 1;
            progress.generation = self.live.snapshot.load().generation;
            progress.failure = outcome.as_ref().err().cloned();
        });
        outcome
    }

    fn judge(&self, files: io::Result<Vec<SourceFile>>) -> Result<Policy, String> {
        let files = files.map_err(|error| error.to_string())?;
        let (policy, _) = compile(&files).map_err(|problems| summary(&problems, &files))?;
        (self.ceiling)(&policy)?;
        Ok(policy)
    }

    fn accepted(&self, generation: u64) {
        let policy = &self.live.load().policy;
        let (rules, credentials) = (policy.rules().len(), policy.credentials().len());
        let message = format!("{rules} rules, {credentials} credentials");
        tracing::info!(generation, rules, credentials, "policy loaded");
        self.metrics.policy(true, generation);
        self.audit.record(Event { generation: Some(generation), message: Some(message.into()), ..Event::new(Kind::PolicyLoaded) });
    }

    fn rejected(&self, reason: String) -> Arc<String> {
        let generation = self.live.snapshot.load().generation;
        tracing::warn!(generation, %reason, "policy rejected, the last good one stays");
        self.metrics.policy(false, generation);
        self.audit.record(Event { generation: Some(generation), message: Some(reason.clone().into()), ..Event::new(Kind::PolicyRejected) });
        let reason = Arc::new(reason);
        self.live.failure.store(Some(Arc::clone(&reason)));
        reason
    }
}

/// One line: how many problems, and the first with its place.
fn summary(problems: &[Problem], files: &[SourceFile]) -> String {
    let errors = || problems.iter().filter(|problem| problem.severity == Severity::Error);
    let Some(first) = errors().next() else {
        return "the policy was rejected without a reason".to_owned();
    };
    let place = first.place.and_then(|place| {
        let file = files.get(place.file)?;
        let (line, column) = keygress_policy::problem::line_column(&file.text, place.start);
        Some(format!("{}:{line}:{column}: ", file.name))
    });
    let more = match errors().count() - 1 {
        0 => String::new(),
        1 => " (and 1 more problem)".to_owned(),
        more => format!(" (and {more} more problems)"),
    };
    format!("{}{}{more}", place.unwrap_or_default(), first.message)
}

#[cfg(test)]
mod tests;
