use prometheus::IntCounter;
use prometheus::core::Collector as _;
use prometheus::proto::Bucket;

use super::{Metrics, Outcome};

impl Metrics {
    /// Requests so far, by outcome and code; the code is empty where there is none.
    #[must_use]
    pub fn requests(&self) -> Vec<(Outcome, &'static str, u64)> {
        self.inner.seen.load().iter().map(|seen| (seen.outcome, seen.code, seen.count.get())).collect()
    }

    /// Alerts so far.
    #[must_use]
    pub fn alerts(&self) -> u64 {
        self.inner.alerts.iter().map(IntCounter::get).sum()
    }

    /// Connections from callers that are open now.
    #[must_use]
    pub fn connections(&self) -> i64 {
        self.inner.connections.get()
    }

    /// What keygress added to a request, in seconds: half of them stayed below the first number, 99 of 100 below the second. `None` where
    /// none was measured.
    #[must_use]
    pub fn added(&self) -> Option<(f64, f64)> {
        let families = self.inner.overhead.collect();
        let buckets = families.first()?.get_metric().first()?.get_histogram().get_bucket();
        Some((quantile(buckets, 0.5)?, quantile(buckets, 0.99)?))
    }
}

/// Below what this part of the observations stayed, as finely as the buckets tell.
fn quantile(buckets: &[Bucket], part: f64) -> Option<f64> {
    let all = buckets.last().map(Bucket::cumulative_count).filter(|count| *count > 0)? as f64;
    let (mut low, mut below) = (0.0, 0.0);
    for bucket in buckets {
        let (high, count) = (bucket.upper_bound(), bucket.cumulative_count() as f64);
        if count >= all * part {
            return Some(if high.is_finite() { low + (high - low) * ((all * part - below) / (count - below).max(1.0)) } else { low });
        }
        (low, below) = (high, count);
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts};

    use super::*;

    #[test]
    fn a_quantile_lies_in_its_bucket() {
        let histogram = Histogram::with_opts(HistogramOpts::new("x", "y").buckets(vec![0.1, 1.0, 10.0])).unwrap();
        let told = |part| quantile(histogram.collect()[0].get_metric()[0].get_histogram().get_bucket(), part);
        assert_eq!(told(0.5), None);
        (0..90).for_each(|_| histogram.observe(0.05));
        (0..10).for_each(|_| histogram.observe(5.0));
        assert!((0.04..0.1).contains(&told(0.5).unwrap()), "{:?}", told(0.5));
        assert!((1.0..10.0).contains(&told(0.99).unwrap()), "{:?}", told(0.99));
    }
}
