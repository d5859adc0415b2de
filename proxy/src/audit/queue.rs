//! Events that wait to be written.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::Event;
use super::tap::Tap;

/// Events that may wait; more are lost and counted.
pub(super) const QUEUE_MAX: usize = 65_536;

/// Events written at once.
pub(super) const BATCH_MAX: usize = 1_024;

/// How long a use event waits for others before it is written. With the write itself it stays under the promised 20 ms.
const GATHER: Duration = Duration::from_millis(8);

/// Between two attempts at a sink that refuses.
pub(super) const RETRY: Duration = Duration::from_millis(200);

/// A waiting event.
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) time: Timestamp,
    pub(super) done: Option<oneshot::Sender<io::Result<()>>>,
}

impl Entry {
    pub(super) fn new(event: Event) -> Self {
        Self { event, time: Timestamp::now(), done: None }
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) entries: VecDeque<Entry>,
    pub(super) lost: u64,
    pub(super) is_urgent: bool,
    pub(super) is_closing: bool,
    /// Who looks at what is written, from the next batch on.
    pub(super) tap: Option<Tap>,
}

pub(super) struct Queue {
    state: Mutex<State>,
    pub(super) wake: Condvar,
    pub(super) healthy: AtomicBool,
}

impl Default for Queue {
    fn default() -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), healthy: AtomicBool::new(true) }
    }
}

impl Queue {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what the tap has to say: also while the audit closes, as it is closed only when the tap has said everything.
    pub(super) fn remark(&self, event: Event) {
        self.push(self.lock(), Entry::new(event));
    }

    pub(super) fn push(&self, mut state: MutexGuard<'_, State>, entry: Entry) {
        if state.entries.len() >= QUEUE_MAX {
            state.lost += 1;
            return;
        }
        let was_empty = state.entries.is_empty();
        state.entries.push_back(entry);
        drop(state);
        // Whoever wrote the first event of a batch woke the thread; it gathers the others by itself.
        if was_empty {
            self.wake.notify_one();
        }
    }

    /// Waits for a batch, at most for this long; `None` where the queue is closed and empty.
    pub(super) fn next(&self, batch: &mut VecDeque<Entry>, time_max: Option<Duration>) -> Option<u64> {
        let mut state = self.lock();
        if self.healthy.load(Ordering::Acquire) {
            let is_idle = |state: &mut State| state.entries.is_empty() && state.lost == 0 && !state.is_closing;
            state = match time_max {
                None => self.wake.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner),
                Some(most) => self.wake.wait_timeout_while(state, most, is_idle).unwrap_or_else(PoisonError::into_inner).0,
            };
            let is_gathering =
                |state: &mut State| !state.is_urgent && !state.is_closing && !state.entries.is_empty() && state.entries.len() < BATCH_MAX;
            state = self.wake.wait_timeout_while(state, GATHER, is_gathering).unwrap_or_else(PoisonError::into_inner).0;
        } else {
            state = self.wake.wait_timeout_while(state, RETRY, |state| !state.is_closing).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.entries.is_empty() && state.lost == 0 && state.is_closing {
            return None;
        }
        Some(state.take(batch))
    }
}

impl State {
    /// Moves a batch out, and how many events were lost behind it.
    fn take(&mut self, batch: &mut VecDeque<Entry>) -> u64 {
        batch.clear();
        if self.entries.len() > BATCH_MAX {
            batch.extend(self.entries.drain(..BATCH_MAX));
            return 0;
        }
        mem::swap(&mut self.entries, batch);
        // What the queue grew to in a burst is not kept.
        self.entries.shrink_to(BATCH_MAX);
        self.is_urgent = false;
        mem::take(&mut self.lost)
    }

    /// Puts a batch back that was not written; what no longer fits is lost.
    pub(super) fn put_back(&mut self, batch: &mut VecDeque<Entry>, lost: u64) {
        while let Some(entry) = batch.pop_back() {
            self.entries.push_front(entry);
        }
        let excess = self.entries.len().saturating_sub(QUEUE_MAX);
        self.entries.truncate(QUEUE_MAX);
        self.lost += lost + excess as u64;
    }
}
