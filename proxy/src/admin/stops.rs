//! The kill switch, and what leases there are.

use http::StatusCode;
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::order::{self, refused};
use super::{Answer, json_answer};
use crate::audit::Kind;
use crate::exchange::Shared;
use crate::state::Row;
use crate::stops::{Measure, Order, Subject, Target};

/// What is to be stopped, or may go on: exactly one name, and why.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    credential: Option<String>,
    owner: Option<String>,
    workload: Option<String>,
    task: Option<String>,
    host: Option<String>,
    reason: Option<String>,
}

impl Asked {
    fn target(&self) -> Result<Target, String> {
        let named = Subject::ALL.iter().filter_map(|subject| Some((*subject, self.name(*subject)?)));
        let mut named = named.collect::<Vec<_>>().into_iter();
        match (named.next(), named.next()) {
            (Some((subject, name)), None) => Target::parse(subject, name),
            _ => Err("name exactly one of credential, owner, workload, task and host".to_owned()),
        }
    }

    fn name(&self, subject: Subject) -> Option<&str> {
        match subject {
            Subject::Credential => self.credential.as_deref(),
            Subject::Owner => self.owner.as_deref(),
            Subject::Workload => self.workload.as_deref(),
            Subject::Task => self.task.as_deref(),
            Subject::Host => self.host.as_deref(),
        }
    }

    fn order(&self, measure: Measure, uid: u32) -> Result<Order, String> {
        let reason = self.reason.as_deref().map(Order::reason).transpose()?;
        Ok(Order { target: self.target()?, measure, since: Timestamp::now(), by: format!("uid {uid}").into(), reason })
    }
}

/// `GET /leases`.
pub(super) fn leases(shared: &Shared) -> Answer {
    json_answer(StatusCode::OK, &json!({ "leases": shared.credentials.leases() }))
}

/// `GET /stops`.
pub(super) fn list(shared: &Shared) -> Answer {
    let stops: Vec<_> = shared.stops.orders().iter().map(|order| described(order)).collect();
    json_answer(StatusCode::OK, &json!({ "stops": stops }))
}

/// `POST /suspend` and `POST /revoke`. In force at once; answered when it is on record, and when the issuers were told or 5 s are over.
pub(super) async fn put(shared: &Shared, measure: Measure, uid: u32, body: Incoming) -> Answer {
    let order = match order::read::<Asked>(body).await {
        Ok(asked) => asked.order(measure, uid),
        Err(answer) => return answer,
    };
    let order = match order {
        Ok(order) => order,
        Err(why) => return refused(&why),
    };
    let stopping = match shared.stop(&order).await {
        Ok(stopping) => stopping,
        Err(why) => return json_answer(StatusCode::INSUFFICIENT_STORAGE, &json!({ "error": why })),
    };
    let mut answer = described(&order);
    answer.insert("known".to_owned(), is_known(shared, &order.target).into());
    answer.insert("survives_restart".to_owned(), shared.ledger.is_some().into());
    if let Some(ended) = stopping.ended {
        let leases = json!({ "revoked": ended.revoked, "dropped": ended.dropped, "failed": ended.failed });
        answer.insert("leases".to_owned(), leases);
    }
    answered(answer, stopping.recorded)
}

/// `POST /resume`.
pub(super) async fn lift(shared: &Shared, uid: u32, body: Incoming) -> Answer {
    let target = match order::read::<Asked>(body).await {
        Ok(asked) => asked.target(),
        Err(answer) => return answer,
    };
    let target = match target {
        Ok(target) => target,
        Err(why) => return refused(&why),
    };
    let Some(order) = shared.stops.orders().into_iter().find(|order| order.target == target) else {
        return json_answer(StatusCode::NOT_FOUND, &json!({ "error": format!("{target} is not stopped") }));
    };
    // The other way round than a stop: on record first, as nothing may go on that cannot be recorded.
    let row = Row::Resumed { subject: target.subject(), name: target.name().to_owned() };
    let recorded = shared.record_stop(Kind::Resumed, &order, format!("{target} was resumed by uid {uid}"), row).await;
    if recorded.is_ok() {
        shared.stops.lift(&target);
        shared.credentials.refill();
    }
    answered(described(&order), recorded)
}

/// Whether the target is anything that keygress knows now. A stop of something else waits for it.
fn is_known(shared: &Shared, target: &Target) -> bool {
    let policy = &shared.live.load().policy;
    match target.subject() {
        Subject::Credential => policy.credentials().iter().any(|credential| credential.name.as_str() == target.name()),
        Subject::Owner => policy.credentials().iter().any(|credential| credential.owner == target.name()),
        Subject::Workload => policy.has_workload(target.name()),
        Subject::Task => shared.callers.is_running(target.name()),
        Subject::Host => {
            policy.rules().iter().any(|rule| target.host().is_some_and(|host| rule.host.covers(host) || host.covers(&rule.host)))
        }
    }
}

fn described(order: &Order) -> Map<String, Value> {
    let fields = [
        ("measure", order.measure.as_str().into()),
        ("subject", order.target.subject().as_str().into()),
        ("name", order.target.name().into()),
        ("since", format!("{:.0}", order.since).into()),
        ("by", (*order.by).into()),
        ("reason", order.reason.as_deref().into()),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn answered(mut answer: Map<String, Value>, recorded: Result<(), String>) -> Answer {
    match recorded {
        Ok(()) => json_answer(StatusCode::OK, &Value::Object(answer)),
        Err(why) => {
            answer.insert("error".to_owned(), why.into());
            json_answer(StatusCode::SERVICE_UNAVAILABLE, &Value::Object(answer))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> Result<Order, String> {
        serde_json::from_str::<Asked>(json).map_err(|error| error.to_string())?.order(Measure::Suspended, 7)
    }

    #[test]
    fn exactly_one_name_is_given() {
        let order = asked(r#"{"credential":"crm","reason":"leaked"}"#).unwrap();
        assert_eq!((order.target.subject(), order.target.name(), &*order.by), (Subject::Credential, "crm", "uid 7"));
        let both = "name exactly one of credential, owner, workload, task and host";
        assert_eq!(asked("{}").unwrap_err(), both);
        assert_eq!(asked(r#"{"credential":"crm","task":"7"}"#).unwrap_err(), both);
        assert!(asked(r#"{"rule":"x"}"#).is_err());
        assert!(asked(r#"{"credential":"crm","reason":"a\u0007"}"#).is_err());
    }
}
