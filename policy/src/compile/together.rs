use std::collections::{BTreeMap, BTreeSet};

use super::check::Check;
use super::rules::Pieces;
use super::{Callers, Policy, Rule, Source, Terms};
use crate::decide::{Decision, Denial, Question};
use crate::destination::{HostPattern, RequestPattern};
use crate::problem::{Complaint, Place, Problem};
use crate::workload::Workloads;

/// What stands for a free segment in a request that is tried out. No policy names it.
const FILL: &str = "keygress-example-segment";

/// Problems and lints that only show when rules are seen together.
pub(super) fn examine<S: Source>(policy: &Policy<S>, pieces: &[Pieces], credential_places: &[Place], check: &mut Check) {
    let mut rules: Vec<Seen<'_>> =
        (policy.rules.iter().zip(&policy.terms).zip(pieces)).map(|((rule, terms), pieces)| Seen { rule, terms, pieces }).collect();
    rules.sort_by_key(|seen| seen.destination());
    for rules in rules.chunk_by(|one, other| one.destination() == other.destination()) {
        dead_entries(rules, check);
        conflicts(policy, rules, check);
    }
    if check.is_clean() {
        unused_credentials(policy, credential_places, check);
    }
}

/// A rule with all that is known of it.
struct Seen<'r> {
    rule: &'r Rule,
    terms: &'r Terms,
    pieces: &'r Pieces,
}

impl<'r> Seen<'r> {
    /// Rules of one exact destination, or of one wildcard, are looked at together.
    fn destination(&self) -> (&'r HostPattern, &'static str, u16) {
        (&self.rule.host, self.rule.scheme.as_str(), self.rule.port)
    }
}

/// Entries that can never match because one `except` covers them for all their callers.
fn dead_entries(rules: &[Seen<'_>], check: &mut Check) {
    if rules.iter().all(|seen| seen.terms.except.is_empty()) {
        return;
    }
    let mut excepts: BTreeMap<Option<&[u8]>, Vec<(&Seen<'_>, &RequestPattern)>> = BTreeMap::new();
    for other in rules {
        for except in &other.terms.except {
            excepts.entry(except.path.first_literal()).or_default().push((other, except));
        }
    }
    for Seen { rule, terms, pieces } in rules {
        for (entry, place) in terms.allow.iter().zip(&pieces.allow) {
            let first = entry.path.first_literal();
            let anywhere = excepts.get(&None).filter(|_| first.is_some());
            let mut near = excepts.get(&first).into_iter().chain(anywhere).flatten();
            let refuses =
                |(other, except): &&(&Seen<'_>, &RequestPattern)| other.terms.callers.cover(&terms.callers) && except.covers(entry);
            let Some((by, _)) = near.find(refuses) else { continue };
            let message = format!("rule `{}` can never match here: `except` of rule `{}` refuses it", rule.name, by.rule.name);
            check.error("never_matches", *place, message, "remove one of the two entries");
        }
    }
}

/// Pairs of rules that put different credentials on one request. A request that shows it is made up and decided, so that an error is
/// reported exactly where the proxy would refuse.
fn conflicts<S: Source>(policy: &Policy<S>, rules: &[Seen<'_>], check: &mut Check) {
    for (one, other) in neighbours(rules) {
        if let Some(request) = conflicting_request(policy, one, other) {
            check.push(conflict(policy, one, other, &request));
        }
    }
}

/// Pairs of rules with different credentials of which a path can begin alike, each once.
fn neighbours<'s, 'r>(rules: &'s [Seen<'r>]) -> Vec<(&'s Seen<'r>, &'s Seen<'r>)> {
    let mut credentials = rules.iter().filter_map(|seen| seen.rule.putting_on());
    let first = credentials.next();
    if credentials.all(|other| Some(other) == first) {
        return Vec::new();
    }
    let mut by_first: BTreeMap<Option<&[u8]>, BTreeSet<usize>> = BTreeMap::new();
    let mut pairs = BTreeSet::new();
    for (position, seen) in rules.iter().enumerate().filter(|(_, seen)| seen.rule.puts_on()) {
        let firsts: BTreeSet<Option<&[u8]>> = seen.terms.allow.iter().map(|entry| entry.path.first_literal()).collect();
        let differs = |other: &&usize| rules.get(**other).is_some_and(|other| other.rule.putting_on() != seen.rule.putting_on());
        if firsts.contains(&None) {
            pairs.extend(by_first.values().flatten().filter(differs).map(|other| (*other, position)));
        } else {
            let near = firsts.iter().chain([&None]).filter_map(|first| by_first.get(first)).flatten();
            pairs.extend(near.filter(differs).map(|other| (*other, position)));
        }
        for first in firsts {
            by_first.entry(first).or_default().insert(position);
        }
    }
    pairs.into_iter().filter_map(|(one, other)| Some((rules.get(one)?, rules.get(other)?))).collect()
}

fn conflict<S: Source>(policy: &Policy<S>, one: &Seen<'_>, other: &Seen<'_>, request: &str) -> Problem {
    let credential = |seen: &Seen<'_>| {
        let own = seen.rule.credential.and_then(|index| policy.credentials.get(index)).map(|credential| credential.name.to_string());
        own.or_else(|| Some(format!("that of broker {}", seen.rule.via.as_deref()?)))
    };
    let message = format!(
        "rules `{}` and `{}` put different credentials on the same request: `{}` and `{}` on `{request}`",
        one.rule.name,
        other.rule.name,
        credential(one).unwrap_or_default(),
        credential(other).unwrap_or_default()
    );
    let complaint = Complaint::new(message, "narrow `from` or `allow` of one of the two so that only one credential remains");
    let place = |seen: &Seen<'_>| seen.pieces.credential.unwrap_or(seen.pieces.name);
    let (earlier, later) = (place(one).min(place(other)), place(one).max(place(other)));
    Problem::error("conflicting_credentials", later, complaint).related(earlier, "the other credential")
}

/// A request on which the decision is ambiguous between these two rules, as `METHOD /path`.
fn conflicting_request<S: Source>(policy: &Policy<S>, one: &Seen<'_>, other: &Seen<'_>) -> Option<String> {
    let HostPattern::Exact(host) = &one.rule.host else { return None };
    let callers = one.terms.callers.shared(&other.terms.callers)?;
    for (a, b) in one.terms.allow.iter().flat_map(|a| other.terms.allow.iter().map(move |b| (a, b))) {
        for (method, path) in requests(a, b) {
            let Ok(parsed) = http::Method::from_bytes(method.as_bytes()) else { continue };
            let question =
                Question { workloads: &callers, scheme: one.rule.scheme, host, port: one.rule.port, method: &parsed, path: &path };
            if matches!(policy.decide(&question), Decision::Denied(Denial::Ambiguous(..))) {
                return Some(format!("{method} {}", path.replace(FILL, "…")));
            }
        }
    }
    None
}

/// Requests that both patterns match: for each shared method, with the rest left empty and with one more segment.
fn requests(a: &RequestPattern, b: &RequestPattern) -> impl Iterator<Item = (&'static str, String)> {
    let path = a.path.shared_path(&b.path, FILL);
    let methods = a.methods.shared(b.methods);
    let longer = path.as_ref().filter(|_| a.path.rest && b.path.rest).map(|path| format!("{}/{FILL}", path.trim_end_matches('/')));
    path.into_iter().chain(longer).flat_map(move |path| methods.names().map(move |method| (method, path.clone())))
}

fn unused_credentials<S: Source>(policy: &Policy<S>, places: &[Place], check: &mut Check) {
    for (credential, place) in policy.credentials.iter().zip(places) {
        let used = policy.rules.iter().any(|rule| rule.credential == Some(credential.index));
        if !used {
            check.warning(
                "unused_credential",
                *place,
                format!("no rule uses the credential `{}`", credential.name),
                "name it in a rule, or remove it",
            );
        }
    }
}

impl Callers {
    /// Whether every caller of `other` is one of these.
    fn cover(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::These(_), Self::Any) => false,
            (Self::These(own), Self::These(theirs)) => theirs.iter().all(|id| own.binary_search(id).is_ok()),
        }
    }

    /// A caller of both, where the policy alone shows one.
    fn shared(&self, other: &Self) -> Option<Workloads> {
        match (self, other) {
            (Self::Any, Self::Any) => Some(Workloads::default()),
            (Self::Any, Self::These(ids)) | (Self::These(ids), Self::Any) => ids.first().map(|id| Workloads { ids: [*id].into() }),
            (Self::These(own), Self::These(theirs)) => {
                own.iter().find(|id| theirs.binary_search(id).is_ok()).map(|id| Workloads { ids: [*id].into() })
            }
        }
    }
}
