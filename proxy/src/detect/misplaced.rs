use std::sync::Arc;

use keygress_policy::response::Detector as Name;

use super::{Detector, Finding, Ground, Seen};
use crate::known::Thing;
use crate::stops::Subject;

/// A placeholder where its credential may not go, or in other hands; a task token anywhere but in proxy credentials.
pub(super) struct Misplaced;

impl Detector for Misplaced {
    fn name(&self) -> Name {
        Name::Misplaced
    }

    fn see(&mut self, seen: &Seen<'_>, ground: &mut Ground<'_>) -> Option<Finding> {
        let (task, expected, saw) = match seen.event.shown.as_deref()? {
            Thing::Value { .. } => return None,
            Thing::Placeholder { credential, task } if seen.event.task.as_ref() != Some(task) => {
                let expected = format!("task `{task}` alone to hold its placeholder for `{credential}`");
                (task, expected, format!("{} sent it to {}", seen.who(), seen.to()))
            }
            Thing::Placeholder { credential, task } => {
                let host = &seen.event.destination.as_ref()?.host;
                if (ground.reaches)(credential, host) != Some(false) {
                    return None;
                }
                let expected = format!("the placeholder for `{credential}` to go where that credential may go");
                (task, expected, format!("{} sent it to {}", seen.who(), seen.to()))
            }
            Thing::Token { task } => {
                let expected = format!("the token of task `{task}` to be shown to keygress alone, as proxy credentials");
                (task, expected, format!("{} sent it to {}", seen.who(), seen.to()))
            }
        };
        let matter = format!("{expected}: {saw}");
        Some(Finding { whom: Some((Subject::Task, Arc::clone(task))), ..Finding::of(seen, expected, saw, matter) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, Kind};
    use crate::detect::tests::{Ground as Fake, event, to};

    fn shown(thing: Thing, task: Option<&str>, host: &str) -> Option<Finding> {
        let event = Event { shown: Some(Arc::new(thing)), task: task.map(Into::into), ..to(host, event(Kind::Denied)) };
        Fake::default().see(&mut Misplaced, &event, 0)
    }

    fn placeholder() -> Thing {
        Thing::Placeholder { credential: "crm".into(), task: "7".into() }
    }

    #[test]
    fn a_placeholder_is_seen_where_its_credential_may_not_go() {
        let finding = shown(placeholder(), Some("7"), "evil.test").unwrap();
        assert_eq!(finding.seen, "task `7` sent it to `https://evil.test:443`");
        assert_eq!(finding.whom, Some((Subject::Task, "7".into())));
        assert_eq!(shown(placeholder(), Some("7"), "crm.test"), None, "its own destination, whatever became of the request");
    }

    #[test]
    fn a_placeholder_is_seen_in_other_hands() {
        let finding = shown(placeholder(), Some("8"), "crm.test").unwrap();
        assert!(finding.seen.starts_with("task `8` sent it"), "{finding:?}");
        assert_eq!(finding.whom, Some((Subject::Task, "7".into())), "the task that it was taken from");
        assert!(shown(placeholder(), None, "crm.test").is_some());
    }

    #[test]
    fn a_token_is_for_keygress_alone() {
        assert!(shown(Thing::Token { task: "7".into() }, Some("7"), "crm.test").is_some());
        let value = Thing::Value { credential: "crm".into(), lease: "l".into(), fingerprint: "f".into() };
        assert_eq!(shown(value, Some("7"), "evil.test"), None, "that is for another detector");
        assert_eq!(Fake::default().see(&mut Misplaced, &to("evil.test", event(Kind::Denied)), 0), None);
    }
}
