//! What is usual of each credential.

use http::StatusCode;
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::order::{self};
use super::{Admin, Answer, json_answer};
use crate::audit::{Event, Kind};
use crate::detect::{Baseline, DIMENSIONS};

/// Of which credential; of all where none is named.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    credential: Option<String>,
}

/// `GET /baselines`.
pub(super) fn list(admin: &Admin) -> Answer {
    let Some(watch) = &admin.watch else { return off() };
    let all = watch.with_baselines(|baselines| {
        let described = baselines.all().into_iter().map(|(name, baseline)| described(&name, baseline));
        described.collect::<Vec<_>>()
    });
    json_answer(StatusCode::OK, &json!({ "baselines": all }))
}

/// `POST /baselines/reset`: on record before it is forgotten.
pub(super) async fn reset(admin: &Admin, uid: u32, body: Incoming) -> Answer {
    let asked = match order::read::<Asked>(body).await {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    let Some(watch) = &admin.watch else { return off() };
    let credential = asked.credential.as_deref();
    let whose = credential.map_or_else(|| "every credential".to_owned(), |name| format!("`{name}`"));
    let event = Event {
        credential: credential.map(Into::into),
        message: Some(format!("what was usual of {whose} was forgotten by uid {uid}").into()),
        ..Event::new(Kind::BaselineReset)
    };
    if let Err(error) = admin.shared.audit.durable(event).await {
        return json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": format!("the audit cannot record it: {error}") }));
    }
    json_answer(StatusCode::OK, &json!({ "reset": watch.reset(credential) }))
}

fn off() -> Answer {
    json_answer(StatusCode::NOT_FOUND, &json!({ "error": "this keygress looks for no abnormal reuse" }))
}

fn described(name: &str, baseline: &Baseline) -> Value {
    let moment = |milliseconds| Timestamp::from_millisecond(milliseconds).map(|moment| format!("{moment:.0}")).unwrap_or_default();
    let dimensions = DIMENSIONS.iter().zip(&baseline.dimensions).map(
        |(name, dimension)| json!({ "name": name, "values": dimension.values, "settled": dimension.is_settled, "open": dimension.is_open }),
    );
    let [minute, hour] = baseline.windows;
    json!({
        "credential": name,
        "since": moment(baseline.since),
        "last": moment(baseline.last),
        "uses": baseline.uses,
        "dimensions": dimensions.collect::<Vec<_>>(),
        "most_a_minute": minute.most.max(minute.count),
        "most_an_hour": hour.most.max(hour.count),
    })
}
