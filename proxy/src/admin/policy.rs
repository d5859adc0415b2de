//! The policy in force: its rules with what each of them decided, and what it says to one request.

use http::{Method, StatusCode, Uri};
use hyper::body::Incoming;
use keygress_policy::explain::{Asked, Hypothesis};
use serde::Deserialize;
use serde_json::{Value, json};

use super::order::{self, refused};
use super::{Admin, Answer, json_answer};

/// `GET /policy`.
pub(super) fn summary(admin: &Admin) -> Answer {
    let live = &admin.shared.live;
    let snapshot = live.load();
    json_answer(
        StatusCode::OK,
        &json!({
            "generation": snapshot.generation,
            "rules": snapshot.policy.rules().len(),
            "credentials": snapshot.policy.credentials().len(),
            "last_failure": live.last_failure().as_deref(),
        }),
    )
}

/// `GET /rules`: who may do what where, with which credential, and what came of it since the start.
pub(super) fn rules(admin: &Admin) -> Answer {
    let snapshot = admin.shared.live.load();
    let policy = &snapshot.policy;
    let rules: Vec<Value> = admin.recent.with(|state| {
        let described = policy.reaches().map(|reach| {
            let hits = state.tally.rules.get(reach.rule.name.as_str());
            json!({
                "rule": reach.rule.name.as_str(),
                "from": reach.from.as_ref().map(|names| names.iter().map(|name| name.as_str()).collect::<Vec<_>>()),
                "to": reach.rule.origin(),
                "allow": reach.allow,
                "except": reach.except,
                "credential": reach.credential.map(|credential| credential.name.as_str()),
                "via": reach.rule.via.as_deref(),
                "limit": reach.rule.limit.map(|limit| limit.to_string()),
                "allowed": hits.map_or(0, |hits| hits.allowed),
                "refused": hits.map_or(0, |hits| hits.refused),
                "last": hits.map(|hits| hits.last),
                "by": hits.and_then(|hits| hits.by.as_deref()),
            })
        });
        described.collect()
    });
    let workloads: Vec<_> = policy.workloads().map(|workload| workload.name.as_str()).collect();
    json_answer(StatusCode::OK, &json!({ "generation": snapshot.generation, "rules": rules, "workloads": workloads }))
}

/// A request that is asked about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    method: String,
    url: String,
    from: Option<String>,
}

/// `POST /explain`: what the policy in force says to a request that nobody makes. Nothing is sent, and nothing is on record.
pub(super) async fn explain(admin: &Admin, body: Incoming) -> Answer {
    let question = match order::read::<Question>(body).await {
        Ok(question) => question,
        Err(answer) => return answer,
    };
    match explained(admin, &question) {
        Ok(explanation) => json_answer(StatusCode::OK, &explanation),
        Err(why) => refused(&why),
    }
}

fn explained(admin: &Admin, Question { method, url, from }: &Question) -> Result<Value, String> {
    let method: Method = method.parse().map_err(|_| format!("`{method}` is no method"))?;
    let url: Uri = url.parse().map_err(|_| format!("`{url}` is no address"))?;
    let policy = &admin.shared.live.load().policy;
    let Asked { scheme, host, port } = Asked::parse(&url, policy)?;
    let question = Hypothesis { from: from.as_deref(), scheme, host: &host, port, method: &method, path: url.path() };
    let explanation = policy.explain(&question)?;
    serde_json::to_value(&explanation).map_err(|error| error.to_string())
}
