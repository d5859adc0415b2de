//! Prometheus metrics on resolved handles: no label lookup on the request path.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use keygress_policy::response::Detector;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// Codes that get a series of their own for each outcome; what comes later is counted as `other`.
const CODES_MAX: usize = 128;

/// Credentials that get a series of their own; what comes later is counted as `other`.
const CREDENTIALS_MAX: usize = 1024;

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
    const ALL: [Self; 4] = [Self::Injected, Self::Passed, Self::Denied, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Passed => "passed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

struct Inner {
    registry: Registry,
    requests: IntCounterVec,
    seen: ArcSwap<Vec<Seen>>,
    connections: IntGauge,
    mints: IntCounterVec,
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
                "Audit records that a further sink (stdout, file, syslog, journald) did not take; they are where the audit is kept.",
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

    /// A mint ended: `ok` or a failure, of this provider kind.
    pub fn mint(&self, provider: &'static str, ok: bool) {
        self.inner.mints.with_label_values(&[provider, result(ok)]).inc();
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

    /// A further sink of this kind did not take so many records.
    pub fn audit_also_lost(&self, sink: &str, lost: u64) {
        self.inner.audit_also_lost.with_label_values(&[sink]).inc_by(lost);
    }

    /// The text exposition format.
    #[must_use]
    pub fn expose(&self) -> String {
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
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_exposed() {
        let metrics = Metrics::new();
        metrics.request(Outcome::Injected, None);
        metrics.request(Outcome::Denied, Some("no_rule"));
        metrics.request(Outcome::Denied, Some("no_rule"));
        metrics.connection(1);
        metrics.connection(1);
        metrics.connection(-1);
        metrics.mint("oauth2", true);
        metrics.mint("oauth2", false);
        metrics.scrubbed("stripe", false);
        metrics.revocation(true);
        metrics.policy(true, 1);
        metrics.policy(false, 1);
        metrics.audit(3, 2);
        metrics.alert(Detector::Probing);
        metrics.unwatched(4);
        let text = metrics.expose();
        for line in [
            r#"keygress_requests_total{code="",outcome="injected"} 1"#,
            r#"keygress_requests_total{code="",outcome="passed"} 0"#,
            r#"keygress_requests_total{code="no_rule",outcome="denied"} 2"#,
            "keygress_connections 1",
            r#"keygress_mints_total{provider="oauth2",result="ok"} 1"#,
            r#"keygress_mints_total{provider="oauth2",result="failed"} 1"#,
            r#"keygress_scrubs_total{credential="stripe",result="masked"} 1"#,
            r#"keygress_revocations_total{result="ok"} 1"#,
            r#"keygress_revocations_total{result="failed"} 0"#,
            "keygress_policy_generation 1",
            r#"keygress_policy_loads_total{result="ok"} 1"#,
            r#"keygress_policy_loads_total{result="failed"} 1"#,
            "keygress_policy_last_load_failed 1",
            r#"keygress_alerts_total{detector="probing"} 1"#,
            r#"keygress_alerts_total{detector="misplaced"} 0"#,
            "keygress_detect_lost_total 4",
            "keygress_audit_records_total 3",
            "keygress_audit_lost_total 2",
            "# TYPE keygress_connections gauge",
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
    }

    #[test]
    fn every_metric_has_a_help_text() {
        let text = Metrics::new().expose();
        for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
            assert!(line.split_once(' ').is_some_and(|(_, help)| help.ends_with('.')), "{line}");
        }
    }

    #[test]
    fn a_good_load_clears_the_failure() {
        let metrics = Metrics::new();
        metrics.policy(false, 1);
        metrics.policy(true, 2);
        assert!(metrics.expose().contains("keygress_policy_last_load_failed 0\n"));
    }

    #[test]
    fn credentials_are_bounded() {
        let metrics = Metrics::new();
        (0..CREDENTIALS_MAX + 5).for_each(|n| metrics.scrubbed(&format!("c{n}"), false));
        assert!(metrics.expose().contains(r#"keygress_scrubs_total{credential="other",result="masked"} 5"#));
    }

    #[test]
    fn codes_are_bounded() {
        let metrics = Metrics::new();
        let codes: Vec<&'static str> = (0..CODES_MAX * 2).map(|n| &*format!("code_{n}").leak()).collect();
        for code in &codes {
            metrics.request(Outcome::Denied, Some(code));
        }
        let text = metrics.expose();
        let series = text.lines().filter(|line| line.starts_with("keygress_requests_total{")).count();
        assert!(series <= CODES_MAX + 1, "{series} series");
        let others = codes.len() - (CODES_MAX - Outcome::ALL.len());
        assert!(text.contains(&format!("keygress_requests_total{{code=\"other\",outcome=\"denied\"}} {others}")), "{text}");
    }
}
