//! How it goes: numbers since the start, and the last quarter of an hour.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use super::{Admin, Answer, json_answer};
use crate::audit::Written;
use crate::metrics::Outcome;
use crate::recent::SPAN_SECONDS;

/// `GET /overview`.
pub(super) fn overview(admin: &Admin) -> Answer {
    let shared = &admin.shared;
    let now = Timestamp::now();
    let snapshot = shared.live.load();
    let reasons = admin.unready();
    let mut requests: BTreeMap<&str, u64> = Outcome::ALL.iter().map(|outcome| (outcome.as_str(), 0)).collect();
    let mut denials = Vec::new();
    for (outcome, code, count) in shared.metrics.requests() {
        *requests.entry(outcome.as_str()).or_default() += count;
        if !code.is_empty() && count > 0 {
            denials.push((count, code, outcome));
        }
    }
    denials.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
    let denials: Vec<_> = denials
        .into_iter()
        .take(8)
        .map(|(count, code, outcome)| json!({ "code": code, "outcome": outcome.as_str(), "count": count }))
        .collect();
    let (since, spans, loaded, rejected) = admin
        .recent
        .with(|state| (state.since, state.series.up_to(now.as_second()), told(state.loaded.as_ref()), told(state.rejected.as_ref())));
    json_answer(
        StatusCode::OK,
        &json!({
            "version": env!("CARGO_PKG_VERSION"),
            "since": since.as_millisecond(),
            "now": now.as_millisecond(),
            "ready": reasons.is_empty(),
            "reasons": reasons,
            "policy": {
                "generation": snapshot.generation,
                "rules": snapshot.policy.rules().len(),
                "credentials": snapshot.policy.credentials().len(),
                "last_failure": shared.live.last_failure().as_deref(),
                "loaded": loaded,
                "rejected": rejected,
            },
            "requests": requests,
            "codes": denials,
            "added": shared.metrics.added().map(|(median, high)| json!({ "median": median * 1e6, "high": high * 1e6 })),
            "alerts": shared.metrics.alerts(),
            "connections": shared.metrics.connections(),
            "leases": shared.credentials.leases().len(),
            "stops": shared.stops.orders().len(),
            "series": {
                "seconds": SPAN_SECONDS,
                "sent": spans.iter().map(|span| span.sent).collect::<Vec<_>>(),
                "denied": spans.iter().map(|span| span.denied).collect::<Vec<_>>(),
                "failed": spans.iter().map(|span| span.failed).collect::<Vec<_>>(),
            },
        }),
    )
}

/// When a policy was loaded or rejected, and what there is to say of it.
fn told(written: Option<&Written>) -> Option<serde_json::Value> {
    let Written { event, time } = written?;
    Some(json!({ "time": time.as_millisecond(), "generation": event.generation, "message": event.message }))
}
