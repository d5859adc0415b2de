//! What the client saw.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::check::Wrong;
use super::link::Made;

/// The longest latency that is told apart from longer ones.
const LATENCY_MAX: Duration = Duration::from_secs(120);

/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// What came of a load.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Responses that were right in every respect.
    pub right: u64,
    /// What went wrong, by kind: `status 502`, `wrong credential`, `wrong length`, `timed out`, … What went wrong in the warm-up is there too.
    pub errors: BTreeMap<String, u64>,
    /// From the first request that counts to the last response.
    pub took: Duration,
    /// Latency of the right responses, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Requests that were due before the end and that nobody was free to send (constant pace only).
    pub unsent: u64,
    /// Connections made, the warm-up's included.
    pub connections: u64,
    /// Those of them that resumed a TLS session.
    pub resumed: u64,
    /// Bytes of bodies that came down.
    pub bytes_down: u64,
    /// Bytes of bodies that went up.
    pub bytes_up: u64,
}

impl Measured {
    /// Right responses per second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        if self.took.is_zero() { 0.0 } else { self.right as f64 / self.took.as_secs_f64() }
    }

    /// How many went wrong.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Latency at this percentile, in microseconds; 0 where nothing was right.
    #[must_use]
    pub fn microseconds_at(&self, percentile: f64) -> f64 {
        if self.latency.is_empty() { 0.0 } else { self.latency.value_at_percentile(percentile) as f64 / 1e3 }
    }

    /// Latency by percentile, rising, as a plot wants it: denser towards the end.
    #[must_use]
    pub fn by_percentile(&self) -> Vec<(f64, f64)> {
        if self.latency.is_empty() {
            return Vec::new();
        }
        let steps = self.latency.iter_quantiles(4);
        steps.map(|step| (step.quantile_iterated_to() * 100.0, step.value_iterated_to() as f64 / 1e3)).collect()
    }
}

/// What one thread saw so far.
#[derive(Debug)]
pub(super) struct Tally {
    right: Cell<u64>,
    connections: Cell<u64>,
    resumed: Cell<u64>,
    bytes_down: Cell<u64>,
    bytes_up: Cell<u64>,
    latency: RefCell<Histogram<u64>>,
    wrong: RefCell<BTreeMap<(When, Wrong), u64>>,
}

/// Whether it counted already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    WarmUp,
    Measured,
}

impl Tally {
    pub(super) fn new() -> anyhow::Result<Self> {
        let latency = Histogram::new_with_bounds(1, u64::try_from(LATENCY_MAX.as_nanos())?, DIGITS)?;
        Ok(Self {
            right: Cell::new(0),
            connections: Cell::new(0),
            resumed: Cell::new(0),
            bytes_down: Cell::new(0),
            bytes_up: Cell::new(0),
            latency: RefCell::new(latency),
            wrong: RefCell::default(),
        })
    }

    /// One more that was right.
    pub(super) fn right(&self, took: Duration, down: u64, up: u64) {
        self.right.set(self.right.get() + 1);
        self.bytes_down.set(self.bytes_down.get() + down);
        self.bytes_up.set(self.bytes_up.get() + up);
        self.latency.borrow_mut().saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// One more connection.
    pub(super) fn connected(&self, made: Made) {
        self.connections.set(self.connections.get() + 1);
        self.resumed.set(self.resumed.get() + u64::from(made == Made::Resumed));
    }

    /// One more that was not: it has no part in latency.
    pub(super) fn wrong(&self, wrong: Wrong) {
        *self.wrong.borrow_mut().entry((When::Measured, wrong)).or_default() += 1;
    }

    /// One more that was not, while nothing counted yet: a load that is not right from the start is no measurement.
    pub(super) fn wrong_before(&self, wrong: Wrong) {
        *self.wrong.borrow_mut().entry((When::WarmUp, wrong)).or_default() += 1;
    }

    /// Adds what another thread saw.
    pub(super) fn add(&self, other: &Self) {
        self.right.set(self.right.get() + other.right.get());
        self.connections.set(self.connections.get() + other.connections.get());
        self.resumed.set(self.resumed.get() + other.resumed.get());
        self.bytes_down.set(self.bytes_down.get() + other.bytes_down.get());
        self.bytes_up.set(self.bytes_up.get() + other.bytes_up.get());
        // Both have the same bounds, so that nothing can be out of them.
        let _ = self.latency.borrow_mut().add(&*other.latency.borrow());
        for (wrong, count) in &*other.wrong.borrow() {
            *self.wrong.borrow_mut().entry(*wrong).or_default() += count;
        }
    }

    /// The sum.
    pub(super) fn measured(self, took: Duration, unsent: u64) -> Measured {
        let mut errors = BTreeMap::new();
        for ((when, wrong), count) in self.wrong.into_inner() {
            let kind = match when {
                When::WarmUp => format!("warm-up: {wrong}"),
                When::Measured => wrong.to_string(),
            };
            *errors.entry(kind).or_default() += count;
        }
        Measured {
            right: self.right.get(),
            errors,
            took,
            latency: self.latency.into_inner(),
            unsent,
            connections: self.connections.get(),
            resumed: self.resumed.get(),
            bytes_down: self.bytes_down.get(),
            bytes_up: self.bytes_up.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(milliseconds: impl IntoIterator<Item = u64>) -> Tally {
        let tally = Tally::new().unwrap();
        milliseconds.into_iter().for_each(|took| tally.right(Duration::from_millis(took), 200, 1));
        tally
    }

    #[test]
    fn percentiles_are_those_of_all_threads_together() {
        let sum = tally(1..=50);
        sum.add(&tally(51..=100));
        let measured = sum.measured(Duration::from_secs(2), 3);
        assert_eq!((measured.right, measured.bytes_down, measured.bytes_up, measured.unsent), (100, 20_000, 100, 3));
        assert!((measured.throughput() - 50.0).abs() < 1e-9);
        for percentile in [50.0, 99.0, 100.0] {
            let off = (measured.microseconds_at(percentile) / (percentile * 1e3) - 1.0).abs();
            assert!(off < 2e-3, "{percentile} is {} µs", measured.microseconds_at(percentile));
        }
        let plotted = measured.by_percentile();
        assert!(plotted.is_sorted_by(|one, other| one.0 <= other.0 && one.1 <= other.1), "{plotted:?}");
        assert_eq!(plotted.last().unwrap().0, 100.0);
    }

    #[test]
    fn what_went_wrong_is_counted_by_kind_and_has_no_part_in_latency() {
        let sum = tally([1, 1]);
        sum.wrong(Wrong::TimedOut);
        sum.wrong(Wrong::Status(502));
        let other = tally([]);
        other.wrong(Wrong::Status(502));
        other.wrong_before(Wrong::NoCredential);
        sum.add(&other);
        let measured = sum.measured(Duration::from_secs(1), 0);
        let errors: Vec<_> = measured.errors.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        assert_eq!(errors, [("status 502", 2), ("timed out", 1), ("warm-up: no credential", 1)]);
        assert_eq!((measured.right, measured.wrong(), measured.latency.len()), (2, 4, 2));
    }

    #[test]
    fn nothing_right_is_no_latency_of_zero_requests() {
        let measured = tally([]).measured(Duration::ZERO, 0);
        assert_eq!((measured.throughput(), measured.microseconds_at(99.0), measured.by_percentile().len()), (0.0, 0.0, 0));
    }
}
