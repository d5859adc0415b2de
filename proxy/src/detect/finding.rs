use std::sync::Arc;

use keygress_policy::destination::Host;
use keygress_policy::response::Detector as Name;

use super::Baselines;
use crate::audit::{Destination, Event};
use crate::stops::Subject;

/// One event, as detectors see it.
#[derive(Clone, Copy)]
pub struct Seen<'e> {
    /// What happened.
    pub event: &'e Event,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

impl Seen<'_> {
    /// Who did it, in words: the task, else the workload, else the process, else the peer.
    #[must_use]
    pub fn who(&self) -> String {
        let Event { task, workload, process, peer, uid, .. } = self.event;
        let task = task.as_ref().map(|task| format!("task `{task}`"));
        let workload = || workload.as_ref().map(|workload| format!("workload `{workload}`"));
        let process = || process.as_ref().map(|process| format!("`{process}`"));
        let uid = || uid.map(|uid| format!("`uid {uid}`"));
        let peer = || peer.as_ref().map(|peer| format!("peer `{peer}`"));
        task.or_else(workload)
            .or_else(process)
            .or_else(uid)
            .or_else(peer)
            .unwrap_or_else(|| "a caller of which nothing is proven".to_owned())
    }

    /// Where it went, in words.
    #[must_use]
    pub fn to(&self) -> String {
        match &self.event.destination {
            Some(Destination { scheme, host, port }) => format!("`{}://{host}:{port}`", scheme.as_str()),
            None => "a destination that is not on record".to_owned(),
        }
    }

    /// Whom a response can stop: the task, else the workload.
    #[must_use]
    pub fn whom(&self) -> Option<(Subject, Arc<str>)> {
        let task = self.event.task.clone().map(|task| (Subject::Task, task));
        task.or_else(|| self.event.workload.clone().map(|workload| (Subject::Workload, workload)))
    }
}

/// What a detector may ask and learn.
pub struct Ground<'g> {
    /// Whether the policy lets a credential reach a host; `None` where it has no such credential.
    pub reaches: &'g dyn Fn(&str, &Host) -> Option<bool>,
    /// What is usual.
    pub baselines: &'g mut Baselines,
}

/// What a detector found, with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Since when that is expected, in milliseconds since 1970.
    pub since: Option<i64>,
    /// How many events it is drawn from.
    pub events: u64,
    /// Findings of one detector with the same words are one matter: they are told once in a while.
    pub matter: String,
    /// Whom a response stops.
    pub whom: Option<(Subject, Arc<str>)>,
    /// The credential whose value is out.
    pub leaked: Option<Arc<str>>,
}

impl Finding {
    /// A finding about whoever did this.
    #[must_use]
    pub fn of(seen: &Seen<'_>, expected: String, saw: String, matter: String) -> Self {
        Self { expected, seen: saw, since: None, events: 1, matter, whom: seen.whom(), leaked: None }
    }
}

/// Looks at one event after the other. It reads no clock, and what it remembers is bounded.
pub trait Detector: Send {
    /// Which it is.
    fn name(&self) -> Name;

    /// What this event shows, beside those before it.
    fn see(&mut self, seen: &Seen<'_>, ground: &mut Ground<'_>) -> Option<Finding>;
}
