use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};

use super::Context;
use crate::audit::Event;
use crate::metrics::Metrics;

/// One request that is traced: keygress's own span, and below it one for the upstream.
#[derive(Debug)]
pub struct Span {
    /// The trace, and our span in it.
    pub context: Context,
    /// The caller's span, where there is one.
    pub parent: Option<[u8; 8]>,
    /// The span that the upstream is told of.
    pub upstream: [u8; 8],
    /// What vendors keep beside the context.
    pub state: Option<String>,
    /// When it began.
    pub began: Timestamp,
}

/// A traced request that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its names.
    pub span: Span,
    /// What is on record of it.
    pub event: Event,
    /// How long it took until the head of the answer was on its way to the caller.
    pub took: Duration,
    /// From when to when the upstream was reached and waited for, since the beginning.
    pub upstream: Option<(Duration, Duration)>,
}

/// Which requests are traced, and where their spans go.
pub struct Traces {
    /// Of the requests whose caller began no trace, those whose number, well mixed, is below.
    below: u64,
    seed: u64,
    queue: mpsc::Sender<Box<Ended>>,
    closing: Arc<Notify>,
    metrics: Metrics,
}

impl Traces {
    /// `ratio`, from 0 to 1, of the requests whose caller began no trace.
    pub(super) fn new(ratio: f64, queue: mpsc::Sender<Box<Ended>>, closing: Arc<Notify>, metrics: Metrics) -> Self {
        // Saturates: 1.0 is all but one of 2^64.
        let below = (ratio * 2_f64.powi(64)) as u64;
        let seed = random().map_or(0, u64::from_ne_bytes);
        Self { below, seed, queue, closing, metrics }
    }

    /// Begins the trace of a request, where it is to be traced: its caller records one, or it is one of the share of the others. The
    /// upstream is told of our span then; a context that nobody records goes on as it came, and one that is none goes nowhere.
    #[must_use]
    pub fn begin(&self, headers: &mut HeaderMap, request: u64) -> Option<Box<Span>> {
        let caller = Context::take(headers);
        let (trace, parent) = match caller {
            Some(caller) if caller.is_sampled() => (caller, Some(caller.span)),
            Some(_) => return None,
            None if mixed(request ^ self.seed) < self.below => (Context::root(random()?, [0; 8]), None),
            None => return None,
        };
        let (own, upstream) = (random()?, random()?);
        trace.with_span(upstream).put(headers);
        let (context, state) = (trace.with_span(own), Context::state(headers));
        Some(Box::new(Span { context, parent, upstream, state, began: Timestamp::now() }))
    }

    /// Hands a traced request on; where too many wait it is lost, and counted. Never waits.
    pub fn tell(&self, ended: Box<Ended>) {
        if self.queue.try_send(ended).is_err() {
            self.metrics.otlp("traces", "lost", 1);
        }
    }

    /// Takes no more: what waits is sent.
    pub fn close(&self) {
        self.closing.notify_one();
    }
}

/// Random bytes, of which not all are zero.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    (bytes != [0; N]).then_some(bytes)
}

/// Every number becomes another, spread evenly (the finaliser of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn traces(ratio: f64) -> (Traces, mpsc::Receiver<Box<Ended>>) {
        let (queue, waiting) = mpsc::channel(2);
        (Traces::new(ratio, queue, Arc::default(), Metrics::new()), waiting)
    }

    fn headers(parent: &str) -> HeaderMap {
        let fields = [("traceparent", parent), ("tracestate", "a=b")];
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::try_from(*value).unwrap())).collect()
    }

    #[test]
    fn a_trace_of_the_caller_goes_on_with_spans_of_ours() {
        let (traces, _waiting) = traces(0.0);
        let mut headers = headers(PARENT);
        let span = traces.begin(&mut headers, 1).unwrap();
        let caller = Context::parse(PARENT.as_bytes()).unwrap();
        let sent = Context::parse(headers["traceparent"].as_bytes()).unwrap();
        assert_eq!((span.context.trace, span.parent, span.state.as_deref()), (caller.trace, Some(caller.span), Some("a=b")));
        assert_eq!((sent.trace, sent.span, sent.is_sampled()), (caller.trace, span.upstream, true));
        assert!(![caller.span, span.upstream].contains(&span.context.span) && headers["tracestate"] == "a=b");
    }

    #[test]
    fn what_the_caller_does_not_record_goes_on_as_it_came() {
        let (traces, _waiting) = traces(1.0);
        let unrecorded = PARENT.replace("-01", "-00");
        let mut headers = headers(&unrecorded);
        assert!(traces.begin(&mut headers, 1).is_none());
        assert_eq!(headers["traceparent"], unrecorded.as_str());
    }

    #[test]
    fn of_the_others_a_share_is_traced() {
        let share = |ratio| {
            let (traces, _waiting) = traces(ratio);
            (0..4000).filter(|request| traces.begin(&mut HeaderMap::new(), *request).is_some()).count()
        };
        assert_eq!((share(0.0), share(1.0)), (0, 4000));
        assert!((800..1200).contains(&share(0.25)), "{}", share(0.25));
        let (traces, _waiting) = traces(1.0);
        let mut invalid = headers("00-nothing");
        let span = traces.begin(&mut invalid, 1).unwrap();
        assert!(span.parent.is_none() && span.state.is_none() && invalid["traceparent"].to_str().unwrap().ends_with("-03"));
    }

    #[test]
    fn what_finds_the_queue_full_is_counted() {
        let (traces, _waiting) = traces(1.0);
        for request in 0..5 {
            let span = *traces.begin(&mut HeaderMap::new(), request).unwrap();
            let event = Event::new(crate::audit::Kind::Used);
            traces.tell(Box::new(Ended { span, event, took: Duration::ZERO, upstream: None }));
        }
        assert!(traces.metrics.expose().contains("keygress_otlp_records_total{result=\"lost\",signal=\"traces\"} 3\n"));
    }
}
