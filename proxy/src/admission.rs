//! Whether a worker takes a request: one that has more to do than it can refuses early and cheaply, so that what it takes is still served.
//!
//! What is watched is the worker's own queue: how long something that is ready waits for its turn. A slow destination does not lengthen
//! it, nor do thousands of streams that wait; only work beyond what the core can do does. The shape is that of CoDel (RFC 8289): a burst
//! may fill the queue for half a second; a queue that stands for longer than that is kept at the bound by refusing.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long what is ready may wait where nothing else is said: what some five hundred callers make who never pause.
pub const DELAY_MAX: Duration = Duration::from_millis(20);

/// How long the queue may be longer than that before anything is refused, and how long it must be shorter before bursts are free again.
const INTERVAL: Duration = Duration::from_millis(500);

/// Of so many requests one sends a probe through the queue: two looks at the clock for all of them together.
const PROBED: u32 = 16;

/// The admission of one worker.
#[derive(Debug, Default)]
pub struct Admission {
    /// How long what is ready may wait; `None`: nothing is refused.
    delay_max: Option<Duration>,
    asked: Cell<u32>,
    /// When the probe that is under way set out.
    probe: Cell<Option<Instant>>,
    sent: Notify,
    queue: Cell<Queue>,
}

/// What the probes say of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Queue {
    /// Whether the last one waited too long.
    is_long: bool,
    /// Since when it has been like that.
    since: Option<Instant>,
    /// Whether requests are refused while it is long.
    is_standing: bool,
}

impl Admission {
    /// What is ready may wait so long, zero: as long as it takes. Watches the queue of the worker on which it is called.
    #[must_use]
    pub fn watching(delay_max: Duration) -> Rc<Self> {
        let admission = Rc::new(Self { delay_max: Some(delay_max).filter(|delay| !delay.is_zero()), ..Self::default() });
        if admission.delay_max.is_some() {
            tokio::task::spawn_local(admission.clone().receive());
        }
        admission
    }

    /// Asks for one request: whether it is refused.
    #[must_use]
    pub fn refuses(&self) -> bool {
        if self.delay_max.is_none() {
            return false;
        }
        let asked = self.asked.get().wrapping_add(1);
        self.asked.set(asked);
        // While requests are refused each looks: the first after the load is over must not wait for fifteen others to be refused.
        if (asked.is_multiple_of(PROBED) || self.is_full()) && self.probe.get().is_none() {
            self.probe.set(Some(Instant::now()));
            self.sent.notify_one();
        }
        self.is_full()
    }

    /// Whether requests are refused now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let queue = self.queue.get();
        queue.is_standing && queue.is_long
    }

    /// The other end of the queue: what wakes this stands behind all that was ready before.
    async fn receive(self: Rc<Self>) {
        loop {
            self.sent.notified().await;
            if let (Some(sent), Some(delay_max)) = (self.probe.take(), self.delay_max) {
                let now = Instant::now();
                self.queue.set(self.queue.get().seen(now.saturating_duration_since(sent) > delay_max, now));
            }
        }
    }
}

impl Queue {
    /// After a probe that waited too long, or not.
    fn seen(self, is_long: bool, now: Instant) -> Self {
        if is_long != self.is_long || self.since.is_none() {
            return Self { is_long, since: Some(now), is_standing: self.is_standing };
        }
        let has_lasted = self.since.is_some_and(|since| now.saturating_duration_since(since) >= INTERVAL);
        Self { is_standing: if has_lasted { is_long } else { self.is_standing }, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The queue after probes at these milliseconds, each long or not.
    fn after(probes: &[(u64, bool)]) -> Queue {
        let start = Instant::now();
        probes.iter().fold(Queue::default(), |queue, (at, is_long)| queue.seen(*is_long, start + Duration::from_millis(*at)))
    }

    fn refuses(queue: Queue) -> bool {
        queue.is_standing && queue.is_long
    }

    #[test]
    fn a_burst_is_served() {
        assert!(!refuses(after(&[])));
        assert!(!refuses(after(&[(0, true), (250, true), (499, true)])));
        assert!(!refuses(after(&[(0, true), (450, true), (455, false), (500, true), (550, true)])), "it was through in between");
    }

    #[test]
    fn a_queue_that_stands_is_refused_until_it_is_short() {
        let standing = [(0, true), (250, true), (500, true)];
        assert!(refuses(after(&standing)));
        let with = |more: &[(u64, bool)]| after(&[&standing[..], more].concat());
        assert!(!refuses(with(&[(501, false)])), "what comes now is served at once");
        assert!(refuses(with(&[(501, false), (510, true)])), "and kept at the bound");
        assert!(!refuses(with(&[(501, false), (1001, false), (1002, true), (1250, true)])), "after a quiet time a burst is one again");
    }

    #[test]
    fn without_a_bound_nothing_is_refused() {
        let admission = Admission::default();
        assert!((0..1000).all(|_| !admission.refuses()));
    }

    #[test]
    fn when_the_load_is_over_one_request_finds_out() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let admission = Admission::watching(Duration::from_secs(60));
            admission.queue.set(Queue { is_long: true, since: Some(Instant::now()), is_standing: true });
            assert!(admission.refuses());
            while admission.probe.get().is_some() {
                tokio::task::yield_now().await;
            }
            assert!(!admission.refuses());
        });
    }

    #[test]
    fn a_worker_that_does_not_come_round_refuses_and_one_that_does_takes_all() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
        // Of each turn: what it does, and whether a request is refused at its end.
        let turns = |admission: Rc<Admission>, work: Duration, count: usize| async move {
            let mut refused = 0;
            for _ in 0..count {
                refused += (0..PROBED).filter(|_| admission.refuses()).count();
                let begun = Instant::now();
                while begun.elapsed() < work {
                    std::hint::spin_loop();
                }
                tokio::task::yield_now().await;
            }
            refused
        };
        runtime.block_on(async move {
            let busy = Admission::watching(Duration::from_micros(100));
            assert!(turns(busy, Duration::from_millis(2), 400).await > 0, "800 ms of turns that take twenty times too long");
            let calm = Admission::watching(Duration::from_secs(3600));
            assert_eq!(turns(calm, Duration::from_micros(10), 100).await, 0);
        });
    }
}
