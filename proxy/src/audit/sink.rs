//! The thread that writes the queue: many records a write, many waiting callers a sync.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::also::Feed;
use super::chain::Head;
use super::checkpoint::Signing;
use super::queue::{BATCH_MAX, Entry, QUEUE_MAX, Queue, RETRY};
use super::record::Moment;
use super::store::{Durability, Opened, Store};
use super::tap::{Tap, Written};
use super::{Event, Kind};
use crate::metrics::Metrics;

/// Attempts at a sink that refuses while closing.
const CLOSING_ATTEMPTS: u32 = 5;

/// The sending side: the queue, and the thread behind it.
pub(super) struct Writer {
    queue: Arc<Queue>,
    metrics: Metrics,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Writes what there is to say about the opening, then starts the thread.
    pub(super) fn start(opened: Opened, signing: Option<Signing>, feeds: Vec<Feed>, metrics: Metrics) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let mut committer = Committer {
            queue: Arc::clone(&queue),
            metrics: metrics.clone(),
            store: opened.store,
            head: opened.head,
            instance: instance()?,
            bytes: Vec::new(),
            refused_since: None,
            signing,
            signed_at: Instant::now(),
            unsigned: 0,
            feeds,
            tap: None,
        };
        committer.commit(&opened.events.into_iter().map(Entry::new).collect(), 0, Durability::Synced)?;
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || committer.run())?;
        Ok(Self { queue, metrics, thread: Mutex::new(Some(thread)) })
    }

    /// See [`super::Audit::record`].
    pub(super) fn record(&self, event: Event) {
        let entry = Entry::new(event);
        let state = self.queue.lock();
        if state.is_closing {
            drop(state);
            self.metrics.audit(0, 1);
            return;
        }
        self.queue.push(state, entry);
    }

    /// From the next batch on, what is written is handed on. What remarks the tap itself has are taken to the very end.
    pub(super) fn tap(&self, tap: Tap) {
        self.queue.lock().tap = Some(tap);
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Queues an event whose outcome the receiver gets.
    pub(super) fn durable(&self, event: Event) -> io::Result<oneshot::Receiver<io::Result<()>>> {
        let (done, outcome) = oneshot::channel();
        let entry = Entry { done: Some(done), ..Entry::new(event) };
        let mut state = self.queue.lock();
        if state.is_closing {
            return Err(io::Error::other("the audit is closed"));
        }
        if state.entries.len() >= QUEUE_MAX {
            return Err(io::Error::other("the audit queue is full"));
        }
        state.entries.push_back(entry);
        state.is_urgent = true;
        drop(state);
        self.queue.wake.notify_one();
        Ok(outcome)
    }

    /// The sink did not answer in time.
    pub(super) fn stalled(&self) {
        self.queue.healthy.store(false, Ordering::Release);
    }

    /// See [`super::Audit::healthy`].
    pub(super) fn healthy(&self) -> bool {
        self.queue.healthy.load(Ordering::Acquire)
    }

    /// See [`super::Audit::close`].
    pub(super) fn close(&self) {
        self.queue.lock().is_closing = true;
        self.queue.wake.notify_one();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the audit thread panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread's own: the store and the head of the chain.
struct Committer {
    queue: Arc<Queue>,
    metrics: Metrics,
    store: Store,
    head: Head,
    instance: String,
    bytes: Vec<u8>,
    /// Since when the store has refused; its first record afterwards says so, and is what tries it.
    refused_since: Option<Timestamp>,
    signing: Option<Signing>,
    signed_at: Instant,
    /// Records since the last one that carries a signature.
    unsigned: u64,
    /// Further places that get what was written.
    feeds: Vec<Feed>,
    tap: Option<Tap>,
}

impl Committer {
    fn run(mut self) {
        let mut batch = VecDeque::new();
        let mut closing_attempts = 0;
        loop {
            let Some(lost) = self.queue.next(&mut batch, self.until_due()) else {
                // Where nothing was written since, it waits in the queue.
                match self.tap.take().or_else(|| self.queue.lock().tap.take()) {
                    // What it still has to say comes before the end.
                    Some(tap) => tap.finish(),
                    None => break,
                }
                continue;
            };
            let is_durable = batch.iter().any(|entry| entry.done.is_some());
            let durability = if is_durable { Durability::Synced } else { Durability::Written };
            match self.commit(&batch, lost, durability) {
                Ok(()) => self.succeeded(&mut batch),
                Err(error) => {
                    self.failed(&mut batch, lost, &error);
                    closing_attempts += u32::from(self.queue.lock().is_closing);
                    if closing_attempts >= CLOSING_ATTEMPTS {
                        return self.abandon();
                    }
                    if closing_attempts > 0 {
                        std::thread::sleep(RETRY);
                    }
                }
            }
        }
        let last = if self.store.outlives_process() { Kind::Closed } else { Kind::Checkpoint };
        if last == Kind::Closed || self.unsigned > 0 && self.signing.is_some() {
            let last = VecDeque::from([Entry::new(Event::new(last))]);
            if let Err(error) = self.commit(&last, 0, Durability::Synced) {
                tracing::error!(%error, "the audit could not be closed");
            }
        }
    }

    /// When a checkpoint is due at the latest; `None` where there is nothing to sign.
    fn until_due(&self) -> Option<Duration> {
        let signing = self.signing.as_ref().filter(|_| self.unsigned > 0)?;
        Some(signing.every.saturating_sub(self.signed_at.elapsed()))
    }

    /// Writes a batch, a record of how many were lost behind it, and a checkpoint where one is due. On error the chain is where it was.
    fn commit(&mut self, batch: &VecDeque<Entry>, lost: u64, durability: Durability) -> io::Result<()> {
        let mut head = self.head.clone();
        let mut moment = Moment::of(Timestamp::now());
        let rotates = self.store.is_due_to_rotate(Timestamp::now());
        let key = self.signing.as_ref().map(|signing| &signing.key);
        self.bytes.clear();
        self.bytes.shrink_to(BATCH_MAX * 1024);
        if let Some(since) = self.refused_since {
            let recovered = Event { message: Some(format!("records were refused from {since:.3}").into()), ..Event::new(Kind::Recovered) };
            head.append(&mut self.bytes, &recovered, (&moment, &self.instance), None);
        }
        let mut is_sealed = false;
        for Entry { event, time, .. } in batch {
            moment.move_to(*time);
            is_sealed = matches!(event.kind, Kind::Closed | Kind::Checkpoint) && key.is_some();
            head.append(&mut self.bytes, event, (&moment, &self.instance), key.filter(|_| is_sealed));
        }
        moment.move_to(Timestamp::now());
        if lost > 0 {
            let gap = Event { lost: Some(lost), ..Event::new(Kind::Gap) };
            head.append(&mut self.bytes, &gap, (&moment, &self.instance), None);
            is_sealed = false;
        }
        let written = head.seq - self.head.seq;
        let is_due = rotates || self.until_due().is_some_and(|left| left.is_zero());
        if key.is_some() && !is_sealed && is_due && self.unsigned + written > 0 {
            head.append(&mut self.bytes, &Event::new(Kind::Checkpoint), (&moment, &self.instance), key);
            is_sealed = true;
        }
        if self.bytes.is_empty() {
            return Ok(());
        }
        self.store.append(&self.bytes, if is_sealed { Durability::Synced } else { durability })?;
        self.metrics.audit(head.seq - self.head.seq, lost);
        self.head = head;
        self.written(written, is_sealed);
        // What ends with its last record has no next file.
        if rotates && batch.back().is_none_or(|entry| entry.event.kind != Kind::Closed) {
            self.store.rotate();
        }
        Ok(())
    }

    /// Hands on what was written.
    fn written(&mut self, records: u64, is_sealed: bool) {
        if let Some(signing) = self.signing.as_ref().filter(|_| is_sealed) {
            (self.unsigned, self.signed_at) = (0, Instant::now());
            signing.keep(self.bytes.split_inclusive(|byte| *byte == b'\n').next_back().unwrap_or_default());
        } else {
            self.unsigned += records;
        }
        if !self.feeds.is_empty() {
            let lines = Arc::from(&*self.bytes);
            self.feeds.iter_mut().for_each(|feed| feed.feed(&lines));
        }
    }

    fn succeeded(&mut self, batch: &mut VecDeque<Entry>) {
        self.refused_since = None;
        if !self.queue.healthy.swap(true, Ordering::AcqRel) {
            tracing::info!("the audit takes records again");
        }
        if let Some(tap) = self.queue.lock().tap.take() {
            self.tap = Some(tap);
        }
        let mut written = Vec::new();
        for Entry { event, time, done } in batch.drain(..) {
            if self.tap.is_some() && Tap::wants(event.kind) {
                written.push(Written { event, time });
            }
            // Whoever stopped waiting was told so by its timeout.
            let _ = done.map(|done| done.send(Ok(())));
        }
        if let Some(tap) = &self.tap {
            tap.hand_on(written);
        }
    }

    /// Who waits is told, and its event dropped, as what depended on it does not happen; the others stay queued.
    fn failed(&mut self, batch: &mut VecDeque<Entry>, lost: u64, error: &io::Error) {
        if self.queue.healthy.swap(false, Ordering::AcqRel) {
            tracing::error!(%error, "the audit takes no records");
        }
        self.refused_since.get_or_insert_with(Timestamp::now);
        let mut kept = VecDeque::with_capacity(batch.len());
        for mut entry in batch.drain(..) {
            match entry.done.take() {
                Some(done) => drop(done.send(Err(io::Error::new(error.kind(), format!("the audit takes no records: {error}"))))),
                None => kept.push_back(entry),
            }
        }
        self.queue.lock().put_back(&mut kept, lost);
    }

    fn abandon(&self) {
        let mut state = self.queue.lock();
        let lost = state.lost + state.entries.len() as u64;
        state.entries.clear();
        drop(state);
        self.metrics.audit(0, lost);
        tracing::error!(lost, "the audit was closed while it took no records");
    }
}

/// Tells the records of this process from those of others in the same file.
fn instance() -> io::Result<String> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}
