//! When which request is due: who is free takes the next number, and the number says when.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Pace, Until};

/// The requests of a load, numbered. Shared by all threads.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    until: Until,
    begun: OnceLock<Instant>,
    next: AtomicU64,
}

impl Schedule {
    /// Nothing is due before [`Schedule::begin`].
    pub(super) fn new(pace: Pace, until: Until) -> Self {
        Self { pace, until, begun: OnceLock::new(), next: AtomicU64::new(0) }
    }

    /// Begins now, once.
    pub(super) fn begin(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// The moment at which the next request is due: now, where the server sets the pace. `None` at the end.
    ///
    /// At a constant pace a moment may lie in the past: the server, or the client, was late, and that is latency.
    pub(super) fn claim(&self, now: Instant) -> Option<Instant> {
        let begun = *self.begun.get()?;
        if now.saturating_duration_since(begun) >= self.until.time {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let is_due = self.until.requests.is_none_or(|requests| number < requests);
        let due = match self.pace {
            Pace::Closed => now,
            Pace::Constant(per_second) => begun + offset(number, per_second),
        };
        let is_due = is_due && due.saturating_duration_since(begun) < self.until.time;
        if is_due {
            return Some(due);
        }
        // A number that nobody sends is no request.
        self.next.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Requests that were due before the end, and that nobody was free to send.
    pub(super) fn unsent(&self) -> u64 {
        let Pace::Constant(per_second) = self.pace else { return 0 };
        let due = (self.until.time.as_secs_f64() * per_second) as u64;
        let due = self.until.requests.map_or(due, |requests| requests.min(due));
        due.saturating_sub(self.next.load(Ordering::Relaxed))
    }
}

fn offset(number: u64, per_second: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::alarm::Alarm;

    fn constant(per_second: f64, requests: Option<u64>, seconds: u64) -> Schedule {
        let schedule = Schedule::new(Pace::Constant(per_second), Until { requests, time: Duration::from_secs(seconds) });
        schedule.begin();
        schedule
    }

    #[tokio::test(start_paused = true)]
    async fn a_constant_pace_does_not_wait_for_anybody() {
        let schedule = constant(100.0, None, 10);
        let begun = Instant::now();
        let due = |schedule: &Schedule| schedule.claim(Instant::now()).unwrap().duration_since(begun);
        assert_eq!(due(&schedule), Duration::ZERO);
        assert_eq!(due(&schedule), Duration::from_millis(10), "the next is due later, although it is asked for now");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(due(&schedule), Duration::from_millis(20), "what was missed stays due when it was due");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stands_still_is_late_for_all_that_were_due() {
        // One lane, 100 requests a second; each answer takes 1 ms but the third, which takes 55.
        let (schedule, alarm) = (constant(100.0, Some(8), 10), Alarm::Runtime);
        let mut latencies = Vec::new();
        while let Some(due) = schedule.claim(Instant::now()) {
            alarm.until(due).await.unwrap();
            let took = if latencies.len() == 2 { 55 } else { 1 };
            tokio::time::sleep(Duration::from_millis(took)).await;
            latencies.push(due.elapsed().as_millis());
        }
        // Who counts from when a request could be sent sees 1 ms in all of them but one.
        assert_eq!(latencies, [1, 1, 55, 46, 37, 28, 19, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_requests_or_with_the_time() {
        let schedule = constant(100.0, Some(2), 10);
        assert_eq!((0..5).filter_map(|_| schedule.claim(Instant::now())).count(), 2);
        assert_eq!(schedule.unsent(), 0);
        let schedule = constant(100.0, None, 1);
        assert_eq!((0..500).filter_map(|_| schedule.claim(Instant::now())).count(), 100, "what is due after the end is not sent");
        let schedule = constant(100.0, None, 1);
        schedule.claim(Instant::now()).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(schedule.claim(Instant::now()), None);
        assert_eq!(schedule.unsent(), 99, "what nobody was free for is not forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_loop_is_due_when_it_is_asked() {
        let schedule = Schedule::new(Pace::Closed, Until { requests: Some(1), time: Duration::from_secs(1) });
        assert_eq!(schedule.claim(Instant::now()), None, "nothing is due before it begins");
        schedule.begin();
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!(schedule.claim(Instant::now()), Some(Instant::now()));
        assert_eq!((schedule.claim(Instant::now()), schedule.unsent()), (None, 0));
    }
}
