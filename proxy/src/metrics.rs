//! Prometheus metrics on resolved handles: no label lookup on the request path.

/// Numbers for people.
mod summary;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use keygress_policy::response::Detector;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// Codes that get a series of their own for each outcome; what comes later is counted as `other`.
const CODES_MAX: usize = 128;

/// Credentials that get a series of their own; what comes later is counted as `other`.
const CREDENTIALS_MAX: usize = 1024;

/// What is counted of a collector.
const OTLP: &str = "Spans and log records for the collector, by signal (traces, logs) and result (sent, rejected, failed after all tries, lost as too \
                    many waited).";

/// Bounds of what keygress adds to a request, in seconds.
const OVERHEAD: &[f64] = &[0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Bounds of how long others take, in seconds.
const ELSEWHERE: &[f64] = &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The metrics of this process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Sent, with a credential.
    Injected,
    /// Sent without.
    Passed,
    /// Refused.
    Denied,
    /// The upstream or a credential failed.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Injected, Self::Passed, Self::Denied, Self::Failed];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Passed => "passed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// What is looked up when somebody asks for the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Leases that are alive.
    pub leases: usize,
    /// Static credentials of the policy that have no value.
    pub missing: usize,
    /// Whether the audit takes records.
    pub audit_takes: bool,
    /// Static credentials, and the second at which each ends by its terms.
    pub ends: Vec<(Arc<str>, i64)>,
}

struct Inner {
    registry: Registry,
    requests: IntCounterVec,
    seen: ArcSwap<Vec<Seen>>,
    connections: IntGauge,
    overhead: Histogram,
    upstream: Histogram,
    mints: IntCounterVec,
    mint_times: HistogramVec,
    leases: IntGauge,
    missing: IntGauge,
    audit_healthy: IntGauge,
    ends: Mutex<IntGaugeVec>,
    scrubs: IntCounterVec,
    scrubbed: Mutex<HashSet<String>>,
    revocations: IntCounterVec,
    generation: IntGauge,
    loads: IntCounterVec,
    last_load_failed: IntGauge,
    audit_records: IntCounter,
    audit_lost: IntCounter,
    audit_also_lost: IntCounterVec,
    sandbox: IntGaugeVec,
    alerts: [IntCounter; Detector::ALL.len()],
    unwatched: IntCounter,
    webhooks: IntCounterVec,
    otlp: IntCounterVec,
}

/// A resolved series of `keygress_requests_total`.
#[derive(Clone)]
struct Seen {
    outcome: Outcome,
    code: &'static str,
    count: IntCounter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A fresh registry.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let build = gauges(r, "keygress_build_info", "The version of keygress, as a label; always 1.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let requests = counters(
            r,
            "keygress_requests_total",
            "Requests by outcome (injected, passed, denied, failed) and refusal code.",
            &["outcome", "code"],
        );
        let seen = Outcome::ALL.map(|outcome| Seen::resolve(&requests, outcome, ""));
        let alerts = counters(r, "keygress_alerts_total", "Alerts on abnormal reuse, by detector.", &["detector"]);
        let inner = Inner {
            alerts: Detector::ALL.map(|detector| alerts.with_label_values(&[detector.as_str()])),
            webhooks: webhooks(r),
            otlp: counters(r, "keygress_otlp_records_total", OTLP, &["signal", "result"]),
            unwatched: counter(r, "keygress_detect_lost_total", "Audit records that no detector looked at, as too many waited."),
            seen: ArcSwap::from_pointee(seen.to_vec()),
            requests,
            connections: gauge(r, "keygress_connections", "Connections from callers that are open now."),
            mints: counters(
                r,
                "keygress_mints_total",
                "Calls to a provider for material, by provider and result (ok, failed).",
                &["provider", "result"],
            ),
            overhead: register(r, Histogram::with_opts(overhead())),
            upstream: register(r, Histogram::with_opts(upstream())),
            mint_times: register(r, HistogramVec::new(mint_times(), &["provider"])),
            leases: gauge(r, "keygress_leases", "Leases that are alive."),
            missing: gauge(r, "keygress_credentials_missing", "Static credentials of the policy that have no value now."),
            audit_healthy: gauge(
                r,
                "keygress_audit_healthy",
                "1 where the audit takes records, 0 where requests with a credential are refused.",
            ),
            ends: Mutex::new(ends(r)),
            scrubs: counters(
                r,
                "keygress_scrubs_total",
                "Answers that held a credential, by credential and result (masked, broken_off).",
                &["credential", "result"],
            ),
            scrubbed: Mutex::default(),
            revocations: results(r, "keygress_revocations_total", "Leases to be revoked at their issuer, by result (ok, failed)."),
            generation: gauge(r, "keygress_policy_generation", "The policy in force; counts from 1 with every load of this process."),
            loads: results(r, "keygress_policy_loads_total", "Attempts to load a policy, by result (ok, failed)."),
            last_load_failed: gauge(
                r,
                "keygress_policy_last_load_failed",
                "1 where the policy on disk was rejected and an older one is in force.",
            ),
            audit_records: counter(r, "keygress_audit_records_total", "Audit records written."),
            audit_lost: counter(r, "keygress_audit_lost_total", "Audit events lost because the sink refused and the queue was full."),
            audit_also_lost: counters(
                r,
                "keygress_audit_sink_lost_total",
                "Audit records that a further sink (stdout, file, syslog, journald, otlp) did not take; they are where the audit is kept.",
                &["sink"],
            ),
            sandbox: gauges(r, "keygress_sandbox_enforced", "Whether a measure of the sandbox holds on this machine.", &["measure"]),
            registry,
        };
        Self { inner: Arc::new(inner) }
    }

    /// One request ended.
    pub fn request(&self, outcome: Outcome, code: Option<&'static str>) {
        let code = code.unwrap_or("");
        let seen = self.inner.seen.load();
        match seen.iter().find(|seen| seen.outcome == outcome && seen.code == code) {
            Some(seen) => seen.count.inc(),
            None => self.inner.resolve(outcome, code).inc(),
        }
    }

    /// One connection was accepted (+1) or ended (-1).
    pub fn connection(&self, change: i64) {
        self.inner.connections.add(change);
    }

    /// A request was sent, and its answer is on its way: what keygress took for both, and how long others did.
    pub fn carried(&self, overhead: Duration, upstream: Duration) {
        self.inner.overhead.observe(overhead.as_secs_f64());
        self.inner.upstream.observe(upstream.as_secs_f64());
    }

    /// A mint ended: `ok` or a failure, of this provider kind, after this long.
    pub fn mint(&self, provider: &'static str, ok: bool, took: Duration) {
        // Both from the first on: a failure that begins a series would be seen by no rate.
        let [count, _] = [ok, !ok].map(|ok| self.inner.mints.with_label_values(&[provider, result(ok)]));
        count.inc();
        self.inner.mint_times.with_label_values(&[provider]).observe(took.as_secs_f64());
    }

    /// How things stand, for whoever asks now.
    pub fn standing(&self, standing: &Standing) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.inner.leases.set(count(standing.leases));
        self.inner.missing.set(count(standing.missing));
        self.inner.audit_healthy.set(i64::from(standing.audit_takes));
        let ends = self.inner.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.reset();
        for (credential, second) in standing.ends.iter().take(CREDENTIALS_MAX) {
            ends.with_label_values(&[&**credential]).set(*second);
        }
    }

    /// An answer held this credential, or had to be broken off because it could not be searched.
    pub fn scrubbed(&self, credential: &str, broken_off: bool) {
        let result = if broken_off { "broken_off" } else { "masked" };
        let mut known = self.inner.scrubbed.lock().unwrap_or_else(PoisonError::into_inner);
        let label = if known.contains(credential) || known.len() < CREDENTIALS_MAX { credential } else { "other" };
        known.insert(label.to_owned());
        self.inner.scrubs.with_label_values(&[label, result]).inc();
    }

    /// A revocation ended.
    pub fn revocation(&self, ok: bool) {
        self.inner.revocations.with_label_values(&[result(ok)]).inc();
    }

    /// A policy load ended; `generation` is the one now in force.
    pub fn policy(&self, ok: bool, generation: u64) {
        self.inner.loads.with_label_values(&[result(ok)]).inc();
        self.inner.last_load_failed.set(i64::from(!ok));
        self.inner.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// Whether a measure of the sandbox holds on this machine.
    pub fn sandbox(&self, measure: &str, enforced: bool) {
        self.inner.sandbox.with_label_values(&[measure]).set(i64::from(enforced));
    }

    /// The audit sink took or lost records.
    pub fn audit(&self, written: u64, lost: u64) {
        self.inner.audit_records.inc_by(written);
        self.inner.audit_lost.inc_by(lost);
    }

    /// A detector raised an alert.
    pub fn alert(&self, detector: Detector) {
        if let Some(count) = Detector::ALL.iter().position(|known| *known == detector).and_then(|at| self.inner.alerts.get(at)) {
            count.inc();
        }
    }

    /// So many records were not looked at by the detectors.
    pub fn unwatched(&self, lost: u64) {
        self.inner.unwatched.inc_by(lost);
    }

    /// An alert was taken by the webhook (`ok`), was not in the end (`failed`), or found its queue full (`lost`).
    pub fn webhook(&self, result: &'static str) {
        self.inner.webhooks.with_label_values(&[result]).inc();
    }

    /// So many spans or log records were taken by the collector (`sent`), were not kept by it (`rejected`), could not be sent (`failed`), or
    /// found their queue full (`lost`).
    pub fn otlp(&self, signal: &'static str, result: &'static str, records: u64) {
        self.inner.otlp.with_label_values(&[signal, result]).inc_by(records);
    }

    /// A further sink of this kind did not take so many records.
    pub fn audit_also_lost(&self, sink: &str, lost: u64) {
        self.inner.audit_also_lost.with_label_values(&[sink]).inc_by(lost);
    }

    /// The text exposition format.
    #[must_use]
    pub fn expose(&self) -> String {
        // Not while another asks: between two looks it would miss what is being set.
        let _standing = self.inner.ends.lock().unwrap_or_else(PoisonError::into_inner);
        // Encoding fails only for a family without name or samples, and the registry gathers none.
        TextEncoder::new().encode_to_string(&self.inner.registry.gather()).unwrap_or_default()
    }
}

impl Inner {
    /// The series of a code that was not seen yet; the list is bounded, and no text from outside reaches it.
    fn resolve(&self, outcome: Outcome, code: &'static str) -> IntCounter {
        let known = self.seen.load();
        let code = if known.len() < CODES_MAX { code } else { "other" };
        let new = Seen::resolve(&self.requests, outcome, code);
        if known.len() < CODES_MAX {
            self.seen.rcu(|seen| seen.iter().cloned().chain([new.clone()]).collect::<Vec<_>>());
        }
        new.count
    }
}

impl Seen {
    fn resolve(requests: &IntCounterVec, outcome: Outcome, code: &'static str) -> Self {
        Self { outcome, code, count: requests.with_label_values(&[outcome.as_str(), code]) }
    }
}

fn result(ok: bool) -> &'static str {
    if ok { "ok" } else { "failed" }
}

fn webhooks(registry: &Registry) -> IntCounterVec {
    let help = "Alerts for the webhook, by result (ok, failed after all tries, lost as too many waited).";
    let counters = counters(registry, "keygress_alert_webhooks_total", help, &["result"]);
    for result in ["ok", "failed", "lost"] {
        counters.with_label_values(&[result]);
    }
    counters
}

fn overhead() -> HistogramOpts {
    let help = "What keygress adds to a request that it sends, until the head of the answer is on its way to the caller, apart from what \
                caller and upstream take; a credential that must be waited for is part of it.";
    HistogramOpts::new("keygress_request_overhead_seconds", help).buckets(OVERHEAD.to_vec())
}

fn upstream() -> HistogramOpts {
    let help = "How long the upstream of a request takes until the head of its answer is here, with a connection that had to be made.";
    HistogramOpts::new("keygress_upstream_duration_seconds", help).buckets(ELSEWHERE.to_vec())
}

fn mint_times() -> HistogramOpts {
    HistogramOpts::new("keygress_mint_duration_seconds", "How long calls to a provider take, by provider.").buckets(ELSEWHERE.to_vec())
}

fn ends(registry: &Registry) -> IntGaugeVec {
    let name = "keygress_static_credential_expiry_timestamp_seconds";
    gauges(registry, name, "When a static credential ends by the terms of the policy, in seconds since 1970.", &["credential"])
}

fn results(registry: &Registry, name: &str, help: &str) -> IntCounterVec {
    let counters = counters(registry, name, help, &["result"]);
    for ok in [true, false] {
        // A series that begins at 0 lets an alert see the first failure.
        counters.with_label_values(&[result(ok)]);
    }
    counters
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::new(name, help))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::new(name, help))
}

#[expect(clippy::expect_used, reason = "names are constants of this file: valid and distinct, as every test of it shows")]
fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("a valid name");
    registry.register(Box::new(metric.clone())).expect("a distinct name");
    metric
}

#[cfg(test)]
mod tests;
