//! Somebody who looks at what was written: off the path, never waited for but at the end.

use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use jiff::Timestamp;

use super::record::{self, Moment};
use super::{Event, Kind};

/// A record that was written, and when it happened.
#[derive(Clone, Debug)]
pub struct Written {
    /// What it says.
    pub event: Event,
    /// When.
    pub time: Timestamp,
}

impl Written {
    /// Appends it as a server-sent event: the fields of its record, but what ties records together. One line, whatever it holds.
    pub fn write_event(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        record::write_alone(out, &self.event, &Moment::of(self.time));
        out.extend_from_slice(b"\n\n");
    }
}

/// Where what was written goes next: a bounded queue, and the thread that reads it until the queue is closed.
pub struct Tap {
    batches: SyncSender<Vec<Written>>,
    thread: JoinHandle<()>,
    lost: Box<dyn Fn(u64) + Send>,
}

impl Tap {
    /// `lost` is told how many records found the queue full: they are written, and nobody looks at them.
    #[must_use]
    pub fn new(batches: SyncSender<Vec<Written>>, thread: JoinHandle<()>, lost: impl Fn(u64) + Send + 'static) -> Self {
        Self { batches, thread, lost: Box::new(lost) }
    }

    /// Whether anybody wants to look at what is of this kind: not at what the audit says of itself, nor at a use before it happens.
    pub(super) fn wants(kind: Kind) -> bool {
        !matches!(kind, Kind::Intended | Kind::Opened | Kind::Checkpoint | Kind::Closed)
    }

    pub(super) fn hand_on(&self, batch: Vec<Written>) {
        let count = batch.len() as u64;
        if count > 0 && self.batches.try_send(batch).is_err() {
            (self.lost)(count);
        }
    }

    /// Returns when everything that was handed on has been looked at.
    pub(super) fn finish(self) {
        drop(self.batches);
        if self.thread.join().is_err() {
            tracing::error!("the thread that looks at the audit panicked");
        }
    }
}
