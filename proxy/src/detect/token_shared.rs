use std::sync::Arc;

use keygress_policy::response::Detector as Name;

use super::bounded::Bounded;
use super::{Detector, Finding, Ground, Seen};
use crate::audit::Kind;
use crate::stops::Subject;

/// Tasks whose callers are remembered.
const TASKS_MAX: usize = 16_384;

/// One task token from two callers: two users, or two peers. Many processes of one user are one caller.
pub(super) struct TokenShared {
    tasks: Bounded<First>,
}

/// Who used the token first.
struct First {
    uid: Option<u32>,
    peer: Option<Arc<str>>,
    who: String,
    since: i64,
    events: u64,
}

impl TokenShared {
    pub(super) fn new() -> Self {
        Self { tasks: Bounded::new(TASKS_MAX) }
    }
}

impl Detector for TokenShared {
    fn name(&self) -> Name {
        Name::TokenShared
    }

    fn see(&mut self, seen: &Seen<'_>, _ground: &mut Ground<'_>) -> Option<Finding> {
        let task = seen.event.task.as_ref()?;
        if seen.event.kind == Kind::TaskClosed {
            self.tasks.remove(task);
            return None;
        }
        let (uid, peer) = (seen.event.uid, seen.event.peer.clone());
        if !matches!(seen.event.kind, Kind::Used | Kind::Denied) || uid.is_none() && peer.is_none() {
            return None;
        }
        let Some(first) = self.tasks.find(task) else {
            let first = First { uid, peer, who: caller(seen), since: seen.at, events: 1 };
            self.tasks.put(Arc::clone(task), first);
            return None;
        };
        if (first.uid, &first.peer) == (uid, &peer) {
            first.events += 1;
            return None;
        }
        let expected = format!("the token of task `{task}` from {} alone", first.who);
        let saw = format!("it came from {}", caller(seen));
        let matter = format!("{task} {saw}");
        let whom = Some((Subject::Task, Arc::clone(task)));
        Some(Finding { since: Some(first.since), events: first.events, whom, ..Finding::of(seen, expected, saw, matter) })
    }
}

fn caller(seen: &Seen<'_>) -> String {
    let peer = seen.event.peer.as_ref().map(|peer| format!("peer `{peer}`"));
    peer.or_else(|| seen.event.uid.map(|uid| format!("user id {uid}"))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Event;
    use crate::detect::tests::{Ground as Fake, event};

    fn by(task: &str, uid: Option<u32>, pid: u32, peer: Option<&str>) -> Event {
        Event { task: Some(task.into()), uid, pid: Some(pid), peer: peer.map(Into::into), ..event(Kind::Used) }
    }

    fn last(events: &[Event]) -> Option<Finding> {
        let (mut detector, mut ground) = (TokenShared::new(), Fake::default());
        events.iter().enumerate().map(|(at, event)| ground.see(&mut detector, event, at as i64)).last().unwrap()
    }

    #[test]
    fn a_second_user_and_a_second_peer_are_seen() {
        let finding = last(&[by("7", Some(1000), 1, None), by("7", Some(1000), 2, None), by("7", Some(1001), 3, None)]).unwrap();
        assert_eq!(finding.expected, "the token of task `7` from user id 1000 alone");
        assert_eq!((finding.seen.as_str(), finding.since, finding.events), ("it came from user id 1001", Some(0), 2));
        let finding = last(&[by("7", None, 0, Some("a.test")), by("7", None, 0, Some("b.test"))]).unwrap();
        assert_eq!(finding.seen, "it came from peer `b.test`");
    }

    #[test]
    fn processes_of_one_user_and_tasks_of_several_are_usual() {
        assert_eq!(last(&[by("7", Some(1000), 1, None), by("7", Some(1000), 2, None), by("7", Some(1000), 3, None)]), None);
        assert_eq!(last(&[by("7", Some(1000), 1, None), by("8", Some(1001), 2, None)]), None);
        let closed = Event { task: Some("7".into()), ..event(Kind::TaskClosed) };
        assert_eq!(last(&[by("7", Some(1000), 1, None), closed, by("7", Some(1001), 1, None)]), None, "another task of that name");
    }
}
