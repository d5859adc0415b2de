//! Which running requests must end: what they concern was stopped, their task has ended, or their rule or credential has left the policy.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Shared, Worker};
use crate::audit::{Event, Kind};
use crate::credentials::{Ended, is_same};
use crate::refusal::Code;
use crate::reload::Snapshot;
use crate::stops::Concern;

/// How long what runs may go on when its rule or credential has left the policy: a reload breaks no request that is being answered, and no
/// stream outlives its permission by more.
const LEFT_POLICY_GRACE: Duration = Duration::from_secs(1);

impl Shared {
    /// Ends a task: its token is refused, its leases are revoked, and what runs for it ends. As [`crate::credentials::Credentials::end_task`].
    pub fn end_task(&self, id: &str) -> impl Future<Output = Ended> + Send + use<> {
        self.callers.end(id);
        let ending = self.credentials.end_task(id);
        self.stops.review();
        ending
    }
}

impl Worker {
    /// Looks through what runs whenever there is a reason to, until the process ends.
    pub async fn keep_reviewing(self: Rc<Self>) {
        let mut reviews = self.shared.stops.reviews();
        let mut next = None;
        loop {
            let grace_ends = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = reviews.changed() => if changed.is_err() { return },
                () = grace_ends => {}
            }
            next = self.review();
        }
    }

    /// Ends what must not go on; when to look again.
    fn review(&self) -> Option<Instant> {
        let (shared, snapshot) = (&self.shared, self.shared.live.load());
        let seen = RefCell::default();
        let must_end = |concern: &Concern| {
            let code = why_not(shared, &snapshot, &seen, concern)?;
            Some(if code == Code::LeftPolicy { LEFT_POLICY_GRACE } else { Duration::ZERO })
        };
        let reviewed = self.ties.review(Instant::now(), must_end);
        for concern in reviewed.ended {
            let code = why_not(shared, &snapshot, &seen, &concern);
            shared.audit.record(Event {
                request: Some(concern.request),
                workload: concern.workloads.first().cloned(),
                task: concern.task.map(|task| task.task.id.as_str().into()),
                rule: Some(concern.rule),
                credential: concern.credential.map(|credential| credential.name.shared()),
                generation: Some(concern.generation),
                code: code.map(Code::as_str),
                ..Event::new(Kind::Ended)
            });
        }
        reviewed.next
    }
}

/// Credentials that were compared already in one look, by their addresses.
type Seen = RefCell<HashMap<[usize; 2], bool>>;

fn why_not(shared: &Shared, snapshot: &Snapshot, seen: &Seen, concern: &Concern) -> Option<Code> {
    if let Err(refusal) = shared.stops.check(concern.about()) {
        return Some(refusal.code);
    }
    if concern.task.as_ref().is_some_and(|task| !task.is_running()) {
        return Some(Code::TaskEnded);
    }
    let stays = concern.generation == snapshot.generation || is_in_policy(snapshot, seen, concern);
    (!stays).then_some(Code::LeftPolicy)
}

/// Whether the policy in force still has the rule, and under it the credential as it was.
fn is_in_policy(snapshot: &Snapshot, seen: &Seen, concern: &Concern) -> bool {
    let rules = snapshot.policy.rules();
    let Ok(at) = rules.binary_search_by(|rule| rule.name.as_str().cmp(&concern.rule)) else { return false };
    let now = rules.get(at).and_then(|rule| snapshot.policy.credentials().get(rule.credential?));
    match (&concern.credential, now) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(now)) => {
            let both = [before, now].map(|credential| Arc::as_ptr(credential).addr());
            *seen.borrow_mut().entry(both).or_insert_with(|| Arc::ptr_eq(before, now) || is_same(before, now))
        }
    }
}
