use std::collections::VecDeque;

use crate::audit::{Kind, Written};

/// How long a span is.
pub const SPAN_SECONDS: i64 = 10;

/// Spans that are kept: the last quarter of an hour.
const SPANS_MAX: usize = 90;

/// What happened in one span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Requests that were sent.
    pub sent: u64,
    /// Requests that were refused.
    pub denied: u64,
    /// Of those that were sent: those that an upstream, or the caller, did not bring to an end.
    pub failed: u64,
}

/// The last spans. One in which nothing happened costs nothing until the next one counts.
#[derive(Debug, Default)]
pub struct Series {
    /// The number of the last span.
    last: i64,
    spans: VecDeque<Span>,
}

impl Series {
    /// Counts a request.
    pub(super) fn count(&mut self, written: &Written) {
        let number = written.time.as_second().div_euclid(SPAN_SECONDS);
        if number > self.last {
            let passed = usize::try_from(number - self.last).unwrap_or(SPANS_MAX).min(SPANS_MAX);
            self.spans.extend(std::iter::repeat_n(Span::default(), passed));
            let excess = self.spans.len().saturating_sub(SPANS_MAX);
            self.spans.drain(..excess);
            self.last = number;
        }
        // Records come in nearly the order in which things happened; what is late counts for the last span.
        let Some(span) = self.spans.back_mut() else { return };
        if written.event.kind == Kind::Denied {
            span.denied += 1;
            return;
        }
        span.sent += 1;
        span.failed += u64::from(written.event.code.is_some());
    }

    /// The spans up to this second, oldest first: always as many as are kept.
    #[must_use]
    pub fn up_to(&self, second: i64) -> Vec<Span> {
        let passed = usize::try_from(second.div_euclid(SPAN_SECONDS) - self.last).unwrap_or(0).min(SPANS_MAX);
        let kept = self.spans.iter().copied().chain(std::iter::repeat_n(Span::default(), passed));
        let missing = SPANS_MAX.saturating_sub(self.spans.len() + passed);
        let all = std::iter::repeat_n(Span::default(), missing).chain(kept);
        let excess = (self.spans.len() + passed).saturating_sub(SPANS_MAX);
        all.skip(excess).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::audit::Event;

    fn written(second: i64, kind: Kind) -> Written {
        Written { event: Event::new(kind), time: Timestamp::from_second(second).unwrap() }
    }

    #[test]
    fn spans_follow_the_clock_and_old_ones_go() {
        let mut series = Series::default();
        assert!(series.up_to(1_000).iter().all(|span| *span == Span::default()));
        series.count(&written(1_000, Kind::Used));
        series.count(&written(1_009, Kind::Denied));
        series.count(&written(1_005, Kind::Used));
        series.count(&written(1_031, Kind::Denied));
        let spans = series.up_to(1_049);
        assert_eq!(spans.len(), SPANS_MAX);
        let shown: Vec<_> = spans[SPANS_MAX - 5..].iter().map(|span| (span.sent, span.denied)).collect();
        assert_eq!(shown, [(2, 1), (0, 0), (0, 0), (0, 1), (0, 0)]);
        let later = series.up_to(1_049 + SPANS_MAX as i64 * SPAN_SECONDS);
        assert!(later.len() == SPANS_MAX && later.iter().all(|span| *span == Span::default()));
        series.count(&written(1_000_000, Kind::Used));
        assert_eq!(series.up_to(1_000_000).iter().map(|span| span.sent).sum::<u64>(), 1);
    }
}
