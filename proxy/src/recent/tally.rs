use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use keygress_policy::destination::Host;

use crate::audit::{Event, Kind, Written};

/// Names that are counted of each kind; a policy that has more is counted in part.
const NAMES_MAX: usize = 20_000;

/// Workloads that are told apart for one name.
const SPENDERS_MAX: usize = 256;

/// What each rule and each credential saw since the process began. Bounded by the names of the policy, and 20,000 of each.
#[derive(Debug, Default)]
pub struct Tally {
    /// By rule.
    pub rules: HashMap<Arc<str>, Hits>,
    /// By credential.
    pub credentials: HashMap<Arc<str>, Uses>,
}

/// Requests that a rule decided.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// Those that it let through.
    pub allowed: u64,
    /// Those that it refused: by `except`, its rate, or for want of its credential.
    pub refused: u64,
    /// When the last one was, in milliseconds.
    pub last: i64,
    /// Who made it; `None` is a caller that no workload recognises.
    pub by: Option<Arc<str>>,
}

/// Requests that carried a credential.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// How many.
    pub count: u64,
    /// When the first one was, in milliseconds.
    pub first: i64,
    /// The last one.
    pub last: Spender,
    /// Where the last one went.
    pub host: Option<Host>,
    /// Under which rule the last one was.
    pub rule: Option<Arc<str>>,
    /// By workload: how often, and when last, in milliseconds.
    pub by: HashMap<Option<Arc<str>>, (u64, i64)>,
}

/// Who, and when.
#[derive(Clone, Debug, Default)]
pub struct Spender {
    /// In milliseconds.
    pub time: i64,
    /// The workload.
    pub workload: Option<Arc<str>>,
    /// The task.
    pub task: Option<Arc<str>>,
}

impl Tally {
    /// Counts a request.
    pub(super) fn count(&mut self, Written { event, time }: &Written) {
        let time = time.as_millisecond();
        if let Some(rule) = &event.rule
            && let Some(hits) = of(&mut self.rules, rule, NAMES_MAX)
        {
            let count = if event.kind == Kind::Denied { &mut hits.refused } else { &mut hits.allowed };
            *count += 1;
            hits.last = time;
            hits.by.clone_from(&event.workload);
        }
        let Event { kind: Kind::Used, credential: Some(credential), lease: Some(_), .. } = event else { return };
        let Some(uses) = of(&mut self.credentials, credential, NAMES_MAX) else { return };
        if uses.count == 0 {
            uses.first = time;
        }
        uses.count += 1;
        uses.last.time = time;
        uses.last.workload.clone_from(&event.workload);
        uses.last.task.clone_from(&event.task);
        uses.host = event.destination.as_ref().map(|destination| destination.host.clone());
        uses.rule.clone_from(&event.rule);
        if let Some((count, last)) = of(&mut uses.by, &event.workload, SPENDERS_MAX) {
            (*count, *last) = (*count + 1, time);
        }
    }
}

/// The place of a name; `None` where there are too many already.
fn of<'m, K: Hash + Eq + Clone, V: Default>(map: &'m mut HashMap<K, V>, name: &K, names_max: usize) -> Option<&'m mut V> {
    let is_full = map.len() >= names_max;
    match map.entry(name.clone()) {
        Entry::Occupied(known) => Some(known.into_mut()),
        Entry::Vacant(_) if is_full => None,
        Entry::Vacant(new) => Some(new.insert(V::default())),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn written(kind: Kind, workload: &str, second: i64) -> Written {
        let event = Event {
            rule: Some("charge".into()),
            credential: Some("stripe".into()),
            workload: Some(workload.into()),
            lease: (kind == Kind::Used).then(|| "l-1".into()),
            ..Event::new(kind)
        };
        Written { event, time: Timestamp::from_second(second).unwrap() }
    }

    #[test]
    fn a_rule_and_a_credential_know_who_came_and_when() {
        let mut tally = Tally::default();
        for (kind, who, second) in
            [(Kind::Used, "billing", 1), (Kind::Used, "billing", 2), (Kind::Used, "batch", 3), (Kind::Denied, "agent", 4)]
        {
            tally.count(&written(kind, who, second));
        }
        let hits = &tally.rules["charge"];
        assert_eq!((hits.allowed, hits.refused, hits.last, hits.by.as_deref()), (3, 1, 4_000, Some("agent")));
        let uses = &tally.credentials["stripe"];
        assert_eq!((uses.count, uses.first, uses.last.time, uses.last.workload.as_deref()), (3, 1_000, 3_000, Some("batch")));
        assert_eq!(uses.by[&Some("billing".into())], (2, 2_000));
    }

    #[test]
    fn what_was_refused_used_no_credential_and_names_are_bounded() {
        let mut tally = Tally::default();
        tally.count(&written(Kind::Denied, "agent", 1));
        assert!(tally.credentials.is_empty());
        let mut map = HashMap::<u32, u32>::new();
        assert!(of(&mut map, &1, 1).is_some() && of(&mut map, &2, 1).is_none() && of(&mut map, &1, 1).is_some());
    }
}
