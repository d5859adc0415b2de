//! The last alerts, each with what it rests on, what it means and what follows by the policy.

use http::StatusCode;
use keygress_policy::response::Detector;
use serde_json::{Value, json};

use super::{Admin, Answer, json_answer};
use crate::audit::Written;

/// `GET /alerts`: the newest first.
pub(super) fn list(admin: &Admin) -> Answer {
    let alerts: Vec<Written> = admin.recent.with(|state| state.alerts.iter().rev().cloned().collect());
    let responses = admin.shared.live.load().policy.responses();
    let described: Vec<Value> = (alerts.iter())
        .map(|alert| {
            let detector = Detector::ALL.into_iter().find(|detector| Some(detector.as_str()) == alert.event.code);
            let evidence = alert.event.evidence.as_deref();
            json!({
                "time": alert.time.as_millisecond(),
                "detector": alert.event.code,
                "message": alert.event.message,
                "meaning": detector.map(meaning),
                "response": detector.map(|detector| responses.to(detector).as_str()),
                "expected": evidence.map(|evidence| evidence.expected.as_str()),
                "seen": evidence.map(|evidence| evidence.seen.as_str()),
                "since": evidence.and_then(|evidence| evidence.since).map(|since| since.as_millisecond()),
                "events": evidence.map(|evidence| evidence.events),
                "repeated": evidence.map(|evidence| evidence.repeated),
                "workload": alert.event.workload.as_deref(),
                "task": alert.event.task.as_deref(),
                "credential": alert.event.credential.as_deref(),
                "rule": alert.event.rule.as_deref(),
                "request": alert.event.request,
                "host": alert.event.destination.as_ref().map(|destination| destination.host.to_string()),
            })
        })
        .collect();
    json_answer(StatusCode::OK, &json!({ "watching": admin.watch.is_some(), "alerts": described }))
}

/// What an alert of this detector means, and what to look at first.
fn meaning(detector: Detector) -> &'static str {
    match detector {
        Detector::Misplaced => {
            "A stand-in was sent where it means nothing: a mistake in the application, or somebody who tries what was found. The stand-in itself is worthless there."
        }
        Detector::RealValue => {
            "An application sent the value of a credential that only keygress should hold: it is out. Revoke or rotate it, then find where the application has it from."
        }
        Detector::TokenShared => {
            "The token of one task came from two callers: it was passed on or taken. Close the task if nobody can explain it."
        }
        Detector::AfterRevoke => {
            "Somebody still asks with what was stopped: a job that nobody told, or somebody who should not have it. It was refused."
        }
        Detector::FirstUse => {
            "A credential was used in a way it never was since its habits settled. A release can explain it; so can an intruder."
        }
        Detector::Rate => "A credential is used far more than it ever was: a loop, a new job, or somebody who takes all there is.",
        Detector::Probing => {
            "One caller was refused many different things in a short time: it tries what it may do. Look at its last requests."
        }
    }
}
