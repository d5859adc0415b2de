//! One worker is one thread with one current-thread runtime: nothing on the request path crosses cores.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::rt::Executor;

use crate::metrics::Metrics;

/// Runs what hyper spawns on the worker's own thread.
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F: Future + 'static> Executor<F> for LocalExecutor
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Counts the requests of one connection, three counts in one number: those that are being served, those whose bodies are still being read
/// (an answer may be through before), and in the upper half all. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pace(Arc<AtomicU64>);

/// One request being served, or read; over when it is dropped.
#[derive(Debug)]
pub struct Serving {
    counts: Arc<AtomicU64>,
    counted: u64,
}

/// One that is being served.
const SERVED: u64 = 1;

/// One whose body is being read.
const READ: u64 = 1 << 16;

/// One more.
const BEGUN: u64 = 1 << 32;

impl Pace {
    /// A request is being served from now until the result is dropped.
    #[must_use]
    pub fn serving(&self) -> Serving {
        self.0.fetch_add(BEGUN + SERVED, Ordering::Relaxed);
        Serving { counts: self.0.clone(), counted: SERVED }
    }

    /// The body of a request is being read from now until the result is dropped.
    #[must_use]
    pub fn reading(&self) -> Serving {
        self.0.fetch_add(READ, Ordering::Relaxed);
        Serving { counts: self.0.clone(), counted: READ }
    }

    /// The connection became a tunnel: its two ends decide how long it rests.
    pub fn tunnelled(&self) {
        std::mem::forget(self.serving());
    }

    /// Whether any request is being served.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        !self.0.load(Ordering::Relaxed).is_multiple_of(READ)
    }

    /// Whether the body of any request is being read.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.0.load(Ordering::Relaxed) % BEGUN >= READ
    }

    /// How many requests there were: a number that another one follows with each.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.0.load(Ordering::Relaxed) / BEGUN
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.counts.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// One connection from a caller, counted until the last of what came of it has ended: a tunnel outlives the HTTP that opened it.
pub struct Counted {
    metrics: Metrics,
    /// Held for its drop alone.
    _place: Box<dyn Any>,
}

impl Counted {
    /// Counts one more, which holds this place.
    #[must_use]
    pub fn new(metrics: &Metrics, place: impl Any) -> Rc<Self> {
        metrics.connection(1);
        Rc::new(Self { metrics: metrics.clone(), _place: Box::new(place) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.connection(-1);
    }
}
