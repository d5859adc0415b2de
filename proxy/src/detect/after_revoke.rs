use std::sync::Arc;

use jiff::Timestamp;
use keygress_policy::response::Detector as Name;

use super::bounded::Bounded;
use super::{Detector, Finding, Ground, Seen};
use crate::audit::{Event, Kind};

/// What was revoked and is remembered.
const REVOKED_MAX: usize = 4_096;

/// How long a caller may go on in good faith: what is under way ends, and what cached an answer asks once more.
const GRACE_MS: i64 = 10_000;

/// Use of what was revoked, or of a task that has ended, when whoever holds it had time to hear of it.
pub(super) struct AfterRevoke {
    /// By `credential NAME`, `task ID` or `workload NAME`: since when.
    revoked: Bounded<Since>,
}

#[derive(Default)]
struct Since {
    at: i64,
    uses: u64,
}

impl AfterRevoke {
    pub(super) fn new() -> Self {
        Self { revoked: Bounded::new(REVOKED_MAX) }
    }
}

impl Detector for AfterRevoke {
    fn name(&self) -> Name {
        Name::AfterRevoke
    }

    fn see(&mut self, seen: &Seen<'_>, _ground: &mut Ground<'_>) -> Option<Finding> {
        let Event { kind, code, .. } = seen.event;
        match (kind, code.unwrap_or_default()) {
            (Kind::Stopped, "revoked") | (Kind::TaskClosed, _) => {
                for subject in subjects(seen.event) {
                    self.revoked.put(subject, Since { at: seen.at, uses: 0 });
                }
                None
            }
            (Kind::Resumed, _) => {
                subjects(seen.event).for_each(|subject| self.revoked.remove(&subject));
                None
            }
            (Kind::Denied, "revoked") => self.late(seen, subjects(seen.event).collect()),
            // A token of a task that has ended is no proof: what names the task is its token.
            (Kind::Denied, "task_ended" | "caller_unproven") => self.late(seen, task(seen.event).into_iter().collect()),
            _ => None,
        }
    }
}

impl AfterRevoke {
    fn late(&mut self, seen: &Seen<'_>, subjects: Vec<Arc<str>>) -> Option<Finding> {
        let known = subjects.iter().find(|subject| self.revoked.find(subject).is_some()).or(subjects.first())?;
        let Some(since) = self.revoked.find(known) else {
            // Revoked by another name, such as its owner, or before this process: whoever asks hears of it now.
            self.revoked.put(Arc::clone(known), Since { at: seen.at, uses: 1 });
            return None;
        };
        since.uses += 1;
        if seen.at.saturating_sub(since.at) < GRACE_MS {
            return None;
        }
        let moment = Timestamp::from_millisecond(since.at).unwrap_or_default();
        let expected = format!("no use of {known} any more, revoked or ended by {moment:.0}");
        let saw = format!("{} asked for {} {} s later", seen.who(), seen.to(), (seen.at - since.at) / 1000);
        let matter = format!("{known} {}", seen.who());
        Some(Finding { since: Some(since.at), events: since.uses, ..Finding::of(seen, expected, saw, matter) })
    }
}

/// What an event names that may be revoked, the narrowest first.
fn subjects(event: &Event) -> impl Iterator<Item = Arc<str>> + use<> {
    let credential = event.credential.as_ref().map(|name| format!("credential `{name}`").into());
    let workload = event.workload.as_ref().map(|name| format!("workload `{name}`").into());
    [task(event), credential, workload].into_iter().flatten()
}

fn task(event: &Event) -> Option<Arc<str>> {
    event.task.as_ref().map(|task| format!("task `{task}`").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::{Ground as Fake, event, to};

    fn stop(code: &'static str, kind: Kind) -> Event {
        Event { credential: Some("crm".into()), code: Some(code), ..event(kind) }
    }

    fn denied(code: &'static str) -> Event {
        let about = Event { task: Some("7".into()), workload: Some("agent".into()), credential: Some("crm".into()), ..event(Kind::Denied) };
        Event { code: Some(code), ..to("crm.test", about) }
    }

    /// What each event gives, at its second.
    fn see(events: &[(i64, Event)]) -> Vec<Option<Finding>> {
        let (mut detector, mut ground) = (AfterRevoke::new(), Fake::default());
        events.iter().map(|(second, event)| ground.see(&mut detector, event, second * 1000)).collect()
    }

    #[test]
    fn who_asks_long_after_is_seen() {
        let all = see(&[(0, stop("revoked", Kind::Stopped)), (5, denied("revoked")), (60, denied("revoked"))]);
        assert_eq!(all[1], None, "it may not have heard of it");
        let finding = all[2].clone().unwrap();
        assert_eq!(finding.expected, "no use of credential `crm` any more, revoked or ended by 1970-01-01T00:00:00Z");
        assert_eq!(finding.seen, "task `7` asked for `https://crm.test:443` 60 s later");
        assert_eq!((finding.since, finding.events), (Some(0), 2));
    }

    #[test]
    fn a_token_of_a_task_that_has_ended_is_seen() {
        let token = || Event { task: Some("7".into()), code: Some("caller_unproven"), ..event(Kind::Denied) };
        let closed = Event { task: Some("7".into()), ..event(Kind::TaskClosed) };
        assert!(see(&[(0, closed), (60, token())])[1].is_some());
        let all = see(&[(0, token()), (5, token()), (60, token())]);
        assert!(all[..2].iter().all(Option::is_none) && all[2].is_some(), "its end was not on record: {all:?}");
    }

    #[test]
    fn what_was_suspended_resumed_or_never_revoked_is_usual() {
        let suspended = [(0, stop("suspended", Kind::Stopped)), (60, denied("suspended"))];
        let resumed = [(0, stop("revoked", Kind::Stopped)), (9, stop("revoked", Kind::Resumed)), (60, denied("revoked"))];
        let stranger = Event { code: Some("caller_unproven"), ..event(Kind::Denied) };
        let unproven = [(0, stranger.clone()), (60, stranger)];
        for events in [&suspended[..], &resumed, &unproven, &[(0, denied("not_allowed")), (60, denied("not_allowed"))]] {
            assert!(see(events).iter().all(Option::is_none), "{events:?}");
        }
    }
}
