use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use keygress_policy::response::Detector as Name;

use super::bounded::Bounded;
use super::{Detector, Finding, Ground, Seen};
use crate::audit::Kind;

/// Callers whose denials are remembered.
const CALLERS_MAX: usize = 4_096;

/// How far back denials count.
const WINDOW_MS: i64 = 60_000;

/// So many denials in that time look like probing,
const DENIALS_MIN: usize = 20;

/// if so many different things were asked for.
const TARGETS_MIN: usize = 10;

/// Denials of a caller that are remembered.
const REMEMBERED_MAX: usize = 64;

/// Bursts of denied requests for many different things. A client that asks again and again for one thing is broken, and does not probe.
pub(super) struct Probing {
    callers: Bounded<VecDeque<Probe>>,
    keyed: RandomState,
}

#[derive(Clone, Copy)]
struct Probe {
    at: i64,
    target: u64,
}

impl Probing {
    pub(super) fn new() -> Self {
        Self { callers: Bounded::new(CALLERS_MAX), keyed: RandomState::new() }
    }
}

impl Detector for Probing {
    fn name(&self) -> Name {
        Name::Probing
    }

    fn see(&mut self, seen: &Seen<'_>, _ground: &mut Ground<'_>) -> Option<Finding> {
        if seen.event.kind != Kind::Denied || !is_about_rights(seen.event.code.unwrap_or_default()) {
            return None;
        }
        let who: Arc<str> = seen.who().into();
        if self.callers.find(&who).is_none() {
            self.callers.put(Arc::clone(&who), VecDeque::new());
        }
        let destination = seen.event.destination.as_ref().map(|to| (&to.host, to.port));
        let target = self.keyed.hash_one((destination, seen.event.path.as_ref().map(http::uri::PathAndQuery::path)));
        let probes = self.callers.find(&who)?;
        probes.retain(|probe| seen.at.saturating_sub(probe.at) < WINDOW_MS);
        probes.push_back(Probe { at: seen.at, target });
        if probes.len() > REMEMBERED_MAX {
            probes.pop_front();
        }
        let mut targets: Vec<u64> = probes.iter().map(|probe| probe.target).collect();
        targets.sort_unstable();
        targets.dedup();
        if probes.len() < DENIALS_MIN || targets.len() < TARGETS_MIN {
            return None;
        }
        let (denials, since) = (probes.len(), probes.front().map(|probe| probe.at));
        // The next burst is another one.
        probes.clear();
        let expected = format!("fewer than {DENIALS_MIN} denials a minute over fewer than {TARGETS_MIN} targets");
        let seconds = since.map(|since| (seen.at - since) / 1000).unwrap_or_default();
        let saw = format!("{who} was denied {denials} times in {seconds} s, at {} targets, last at {}", targets.len(), seen.to());
        let finding = Finding::of(seen, expected, saw, who.to_string());
        Some(Finding { since, events: denials as u64, ..finding })
    }
}

/// Whether a denial says what a caller may not do; the others say that something is broken, or slow.
fn is_about_rights(code: &str) -> bool {
    matches!(
        code,
        "unknown_destination" | "caller_not_allowed" | "not_allowed" | "excepted" | "minting" | "path_ambiguous" | "slot_refused"
    )
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::*;
    use crate::audit::Event;
    use crate::detect::tests::{Ground as Fake, event, to};

    /// How often so many denials are found to be probing, each `every` milliseconds, of so many paths.
    fn found(denials: i64, every: i64, paths: i64, code: &'static str, workloads: i64) -> usize {
        let (mut detector, mut ground) = (Probing::new(), Fake::default());
        let see = |number: i64| {
            let path = PathAndQuery::try_from(format!("/{}", number % paths)).unwrap();
            let workload = Some(format!("w{}", number % workloads).into());
            let event = Event { code: Some(code), path: Some(path), workload, ..to("crm.test", event(Kind::Denied)) };
            ground.see(&mut detector, &event, number * every)
        };
        (0..denials).filter_map(see).count()
    }

    #[test]
    fn many_denials_of_many_things_are_probing() {
        assert_eq!(found(20, 100, 20, "not_allowed", 1), 1);
        assert_eq!(found(40, 100, 40, "unknown_destination", 1), 2, "each burst is one");
    }

    #[test]
    fn what_is_broken_slow_or_spread_is_not() {
        for (denials, every, paths, code, workloads) in [
            (19, 100, 19, "not_allowed", 1),
            (1000, 10, 1, "not_allowed", 1),
            (1000, 10, 9, "not_allowed", 1),
            (1000, 4_000, 1000, "not_allowed", 1),
            (1000, 10, 1000, "unreachable", 1),
            (1000, 10, 1000, "rate_limited", 1),
            (300, 100, 300, "not_allowed", 40),
        ] {
            assert_eq!(found(denials, every, paths, code, workloads), 0, "{denials} {every} {paths} {code} {workloads}");
        }
    }
}
