use std::time::Duration;

use tokio::time::Instant;

use super::fingerprint::random_fraction;

/// Pause after the first failure; each further failure doubles it.
const PAUSE_FIRST: Duration = Duration::from_millis(500);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// So many failures in a row open the breaker: from then on one request probes and the others do not wait for it.
const FAILURES_TO_OPEN: u32 = 3;

/// Counts failures in a row and says when the provider may be asked again.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// The provider answered.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The provider failed: it rests for a doubling time of which the last quarter is random.
    pub(super) fn failed(&mut self, now: Instant) {
        let pause = PAUSE_FIRST.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + pause.mul_f64(0.75 + 0.25 * random_fraction()));
    }

    /// How long the provider still rests; zero where it may be asked.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.not_before.map_or(Duration::ZERO, |instant| instant.saturating_duration_since(now))
    }

    /// Whether only one request at a time may wait for the provider.
    pub(super) fn is_open(&self) -> bool {
        self.failures >= FAILURES_TO_OPEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_maximum() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.rest(now), Duration::ZERO);
        for expected in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            backoff.failed(now);
            let rest = backoff.rest(now).as_millis();
            assert!((expected * 3 / 4..=expected).contains(&rest), "{rest} of {expected}");
        }
    }

    #[test]
    fn the_third_failure_opens_the_breaker_and_a_success_closes_it() {
        let mut backoff = Backoff::default();
        backoff.failed(Instant::now());
        backoff.failed(Instant::now());
        assert!(!backoff.is_open());
        backoff.failed(Instant::now());
        assert!(backoff.is_open());
        backoff.succeeded();
        assert!(!backoff.is_open());
        assert_eq!(backoff.rest(Instant::now()), Duration::ZERO);
    }
}
