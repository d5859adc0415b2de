//! Who may spend what: the policy as a list, for those who answer for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;

use crate::compile::{Callers, Credential, Policy, Rule, Source};
use crate::destination::HostPattern;
use crate::name::{RuleName, WorkloadName};
use crate::problem::Place;

/// What a rule allows that lists nothing.
const EVERYTHING: &str = "* /**";

/// A workload of the policy.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'p> {
    /// Its name.
    pub name: &'p WorkloadName,
    /// Labels, such as `stage: production`.
    pub labels: &'p BTreeMap<String, String>,
    /// Where its name stands.
    pub place: Option<Place>,
}

/// What one rule gives to whom.
#[derive(Debug)]
pub struct Reach<'p, S> {
    /// The rule.
    pub rule: &'p Rule,
    /// The workloads that may call, by name; `None` where everybody may.
    pub from: Option<Vec<&'p WorkloadName>>,
    /// What is put on.
    pub credential: Option<&'p Arc<Credential<S>>>,
    /// What it allows, as written; `* /**` where it lists nothing.
    pub allow: Vec<&'p str>,
    /// What it refuses, as written.
    pub except: Vec<&'p str>,
    /// Where its name stands.
    pub place: Option<Place>,
}

impl<S> Reach<'_, S> {
    /// Whether this workload is among the callers.
    #[must_use]
    pub fn admits(&self, workload: &str) -> bool {
        self.from.as_ref().is_none_or(|names| names.iter().any(|name| name.as_str() == workload))
    }
}

impl Rule {
    /// Its destination as the policy spells it: the port only where it is not the usual one.
    #[must_use]
    pub fn origin(&self) -> String {
        let port = if self.port == self.scheme.default_port() { String::new() } else { format!(":{}", self.port) };
        format!("{}://{}{port}", self.scheme.as_str(), self.host)
    }
}

impl<S: Source> Policy<S> {
    /// All workloads, by name.
    pub fn workloads(&self) -> impl Iterator<Item = Workload<'_>> {
        let labelled = self.workloads.iter().zip(&self.workload_labels).enumerate();
        labelled.map(|(index, ((name, _), labels))| Workload { name, labels, place: self.places.workloads.get(index).copied() })
    }

    /// What every rule gives to whom, by the name of the rule.
    pub fn reaches(&self) -> impl Iterator<Item = Reach<'_, S>> {
        self.rules.iter().zip(&self.terms).map(|(rule, terms)| {
            let name = |id: &u32| self.workloads.get(usize::try_from(*id).ok()?).map(|(name, _)| name);
            let from = match &terms.callers {
                Callers::Any => None,
                Callers::These(ids) => Some(ids.iter().filter_map(name).collect()),
            };
            let listed = terms.written.len() - terms.except.len();
            let (allow, except) = terms.written.split_at(listed);
            let allow = if allow.is_empty() { vec![EVERYTHING] } else { allow.iter().map(AsRef::as_ref).collect() };
            Reach {
                rule,
                from,
                credential: rule.credential.and_then(|index| self.credentials.get(index)),
                allow,
                except: except.iter().map(AsRef::as_ref).collect(),
                place: self.places.rules.get(rule.index).copied(),
            }
        })
    }

    /// What other rules refuse of what this rule allows, to this workload: the rule and the entry of its `except`.
    #[must_use]
    pub fn refused_elsewhere(&self, rule: &Rule, workload: &str) -> Vec<(&RuleName, &str)> {
        let meets = |other: &Rule| {
            let hosts = other.host == rule.host || other.host.covers(&rule.host) || rule.host.covers(&other.host);
            other.index != rule.index && (other.scheme, other.port) == (rule.scheme, rule.port) && hosts
        };
        let others = self.reaches().filter(|other| meets(other.rule) && other.admits(workload));
        others.flat_map(|other| other.except.into_iter().map(|entry| (&other.rule.name, entry))).collect()
    }

    /// The rule of this name.
    #[must_use]
    pub fn rule_named(&self, name: &str) -> Option<&Rule> {
        self.rules.binary_search_by(|rule| rule.name.as_str().cmp(name)).ok().and_then(|index| self.rules.get(index))
    }

    /// The credential of this name.
    #[must_use]
    pub fn credential_named(&self, name: &str) -> Option<&Arc<Credential<S>>> {
        let found = self.credentials.binary_search_by(|credential| credential.name.as_str().cmp(name));
        found.ok().and_then(|index| self.credentials.get(index))
    }

    /// Which entries of a rule's `allow` match a request, by their position in [`Reach::allow`].
    pub fn entries_matching<'p>(&'p self, rule: &Rule, method: &'p Method, path: &'p str) -> impl Iterator<Item = usize> + 'p {
        let allow = self.terms.get(rule.index).map(|terms| terms.allow.as_slice()).unwrap_or_default();
        allow.iter().enumerate().filter(move |(_, entry)| entry.matches(method, path)).map(|(index, _)| index)
    }

    /// Where the name of a credential stands.
    #[must_use]
    pub fn place_of(&self, credential: &Credential<S>) -> Option<Place> {
        self.places.credentials.get(credential.index).copied()
    }
}

/// Whether a host pattern is, or lies below, one of these names: `example.com` stands for itself and for all below it.
#[must_use]
pub fn lies_below(host: &HostPattern, names: &[&str]) -> bool {
    let host = host.to_string();
    let host = host.trim_start_matches("*.");
    names.iter().any(|name| host == *name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')))
}
