//! What one policy gives or takes that another does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use crate::compile::{Callers, Credential, Policy, Rule, Source};
use crate::destination::RequestPattern;

/// One thing that one caller may do, or is refused whatever else is allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Permission {
    /// The workload, or `any`.
    pub from: String,
    /// The destination, such as `https://api.example.com`.
    pub to: String,
    /// `METHOD /path`, as the policy spells it.
    pub request: String,
    /// What is put on.
    pub credential: Option<String>,
    /// The rule that says so.
    pub rule: String,
}

/// A name that stands for something else than before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Altered {
    /// `workload` or `credential`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// What is different, in one sentence.
    pub how: String,
}

/// What is different from one policy to the next.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// Allowed by the new policy and not by the old one.
    pub gained: Vec<Permission>,
    /// Allowed by the old policy and not by the new one.
    pub lost: Vec<Permission>,
    /// Refused by an `except` of the new policy that the old one has not.
    pub refused: Vec<Permission>,
    /// Refused by an `except` of the old policy that the new one has not.
    pub readmitted: Vec<Permission>,
    /// Workloads and credentials of the same name that are not the same.
    pub altered: Vec<Altered>,
}

impl Change {
    /// Whether nothing is different.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl<S: Source + Debug> Policy<S> {
    /// What changes when this policy takes the place of another. It compares what entries say: whether an `except` takes back what is
    /// gained, and which of several rules decides, only a request shows.
    #[must_use]
    pub fn change_from(&self, before: &Self) -> Change {
        let (new, old) = (Terms::of(self), Terms::of(before));
        let mut altered = self.altered_workloads(before);
        altered.extend(self.altered_credentials(before));
        Change {
            gained: new.allowed.without(&old.allowed),
            lost: old.allowed.without(&new.allowed),
            refused: new.refused.without(&old.refused),
            readmitted: old.refused.without(&new.refused),
            altered,
        }
    }

    fn altered_workloads(&self, before: &Self) -> Vec<Altered> {
        let earlier: BTreeMap<_, _> = before.workloads.iter().map(|(name, selector)| (name, selector)).collect();
        let changed = self.workloads.iter().filter(|(name, selector)| earlier.get(name).is_some_and(|known| *known != selector));
        changed
            .map(|(name, _)| Altered { what: "workload", name: name.to_string(), how: "is recognised by something else".to_owned() })
            .collect()
    }

    fn altered_credentials(&self, before: &Self) -> Vec<Altered> {
        let pairs = self.credentials.iter().filter_map(|new| Some((new, before.credential_named(new.name.as_str())?)));
        pairs
            .flat_map(|(new, old)| {
                differences(new, old).into_iter().map(|how| Altered { what: "credential", name: new.name.to_string(), how })
            })
            .collect()
    }
}

fn differences<S: Source + Debug>(new: &Credential<S>, old: &Credential<S>) -> Vec<String> {
    let mut found = Vec::new();
    if new.owner != old.owner {
        found.push(format!("is owned by `{}`, not by `{}`", new.owner, old.owner));
    }
    if new.source.kind() != old.source.kind() {
        found.push(format!("comes from `{}`, not from `{}`", new.source.kind(), old.source.kind()));
    } else if format!("{:?}", new.source) != format!("{:?}", old.source) {
        found.push(format!("comes from another `{}`", new.source.kind()));
    }
    if format!("{:?}", new.injection) != format!("{:?}", old.injection) {
        found.push("is put on in another way".to_owned());
    }
    let hosts = |credential: &Credential<S>| credential.only_to.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let (now, then) = (hosts(new), hosts(old));
    found.extend(now.difference(&then).map(|host| format!("may also reach `{host}`")));
    found.extend(then.difference(&now).map(|host| format!("may no longer reach `{host}`")));
    let expires = |credential: &Credential<S>| credential.static_terms.as_ref().map(|terms| terms.expires);
    match (expires(new), expires(old)) {
        (Some(new), Some(old)) if new != old => found.push(format!("expires on {new}, not on {old}")),
        (Some(new), None) => found.push(format!("is a static key until {new}")),
        (None, Some(_)) => found.push("is no longer a static key".to_owned()),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if new.labels != old.labels {
        found.push("has other labels".to_owned());
    }
    found
}

/// One entry of one rule, for one of its callers.
struct Term<'p> {
    rule: &'p Rule,
    pattern: &'p RequestPattern,
    shown: Permission,
}

impl Term<'_> {
    /// Whether every request of the other one is one of this: callers and credentials are compared before.
    fn covers(&self, other: &Self) -> bool {
        (self.rule.scheme, self.rule.port) == (other.rule.scheme, other.rule.port)
            && (self.rule.host == other.rule.host || self.rule.host.covers(&other.rule.host))
            && self.pattern.covers(other.pattern)
    }
}

/// Terms by caller and credential.
#[derive(Default)]
struct Side<'p>(BTreeMap<(String, Option<String>), Vec<Term<'p>>>);

impl<'p> Side<'p> {
    fn add(&mut self, term: Term<'p>) {
        self.0.entry((term.shown.from.clone(), term.shown.credential.clone())).or_default().push(term);
    }

    /// What is here and is not covered over there.
    fn without(&self, other: &Self) -> Vec<Permission> {
        let mut found = BTreeSet::new();
        for ((from, credential), terms) in &self.0 {
            let same = other.0.get(&(from.clone(), credential.clone()));
            let any = other.0.get(&(ANYBODY.to_owned(), credential.clone()));
            let known: Vec<&Term<'_>> = same.into_iter().chain(any).flatten().collect();
            let new = terms.iter().filter(|term| !known.iter().any(|known| known.covers(term)));
            found.extend(new.map(|term| term.shown.clone()));
        }
        found.into_iter().collect()
    }
}

/// How a rule for everybody names its callers.
const ANYBODY: &str = "any";

/// Everything that a policy says, term by term.
#[derive(Default)]
struct Terms<'p> {
    allowed: Side<'p>,
    refused: Side<'p>,
}

impl<'p> Terms<'p> {
    fn of<S: Source>(policy: &'p Policy<S>) -> Self {
        let mut all = Self::default();
        for (reach, terms) in policy.reaches().zip(&policy.terms) {
            let from = match &terms.callers {
                Callers::Any => vec![ANYBODY.to_owned()],
                Callers::These(_) => reach.from.iter().flatten().map(ToString::to_string).collect(),
            };
            let credential = reach.credential.map(|credential| credential.name.to_string());
            for from in &from {
                let shown = |request: &str, credential: Option<String>| Permission {
                    from: from.clone(),
                    to: reach.rule.origin(),
                    request: request.to_owned(),
                    credential,
                    rule: reach.rule.name.to_string(),
                };
                for (pattern, entry) in terms.allow.iter().zip(&reach.allow) {
                    all.allowed.add(Term { rule: reach.rule, pattern, shown: shown(entry, credential.clone()) });
                }
                for (pattern, entry) in terms.except.iter().zip(&reach.except) {
                    all.refused.add(Term { rule: reach.rule, pattern, shown: shown(entry, None) });
                }
            }
        }
        all
    }
}
