//! What follows an alert: what the policy says, and the webhook.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use keygress_policy::response::Response;
use tokio::sync::mpsc;

use super::Raised;
use super::webhook::Telling;
use crate::audit::{Event, Kind};
use crate::exchange::Shared;
use crate::limits::Whom;
use crate::stops::{Measure, Order, Subject, Target};

/// How long a caller is throttled.
const THROTTLE: Duration = Duration::from_secs(600);

/// Answers alerts until nobody raises any more: by the policy that is in force then.
pub async fn respond(shared: Arc<Shared>, mut alerts: mpsc::Receiver<Raised>, telling: Option<Telling>) {
    while let Some(raised) = alerts.recv().await {
        let response = shared.live.load().policy.responses().to(raised.detector);
        if let Some(telling) = &telling {
            telling.tell(&raised, response);
        }
        match response {
            Response::Alert => {}
            Response::Throttle => throttle(&shared, &raised),
            Response::Suspend => stop(&shared, &raised, Measure::Suspended, raised.whom.clone()).await,
            Response::Revoke => {
                let leaked = raised.leaked.clone().map(|credential| (Subject::Credential, credential));
                stop(&shared, &raised, Measure::Revoked, leaked.or_else(|| raised.whom.clone())).await;
            }
        }
    }
}

fn throttle(shared: &Shared, raised: &Raised) {
    let (whom, event) = match &raised.whom {
        Some((Subject::Task, id)) => (Whom::Task(id), Event { task: Some(Arc::clone(id)), ..Event::new(Kind::Stopped) }),
        Some((Subject::Workload, name)) => (Whom::Workload(name), Event { workload: Some(Arc::clone(name)), ..Event::new(Kind::Stopped) }),
        Some((Subject::Credential | Subject::Owner | Subject::Host, _)) | None => return nobody(raised),
    };
    shared.limits.throttle(whom, Instant::now() + THROTTLE);
    let message = format!("one request a second for {} s, by alert `{}`", THROTTLE.as_secs(), raised.detector.as_str());
    shared.audit.record(Event { code: Some("throttled"), message: Some(message.into()), ..event });
}

async fn stop(shared: &Shared, raised: &Raised, measure: Measure, whom: Option<(Subject, Arc<str>)>) {
    let Some(Ok(target)) = whom.map(|(subject, name)| Target::parse(subject, &name)) else { return nobody(raised) };
    // What somebody stopped by hand, or an alert before this one, stays as it was said; only a revocation goes further.
    let stopped =
        shared.stops.orders().iter().any(|order| order.target == target && (order.measure == measure || order.measure == Measure::Revoked));
    if stopped {
        return;
    }
    let detector = raised.detector.as_str();
    let order = Order { target, measure, since: Timestamp::now(), by: format!("alert `{detector}`").into(), reason: None };
    match shared.stop(&order).await {
        Ok(stopping) => {
            if let Err(why) = stopping.recorded {
                tracing::error!(detector, "a response is in force, but {why}");
            }
        }
        Err(why) => tracing::error!(detector, "a response is not in force: {why}"),
    }
}

fn nobody(raised: &Raised) {
    tracing::warn!(detector = raised.detector.as_str(), "an alert names neither a task nor a workload: there is nobody to stop");
}
