use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use keygress_policy::Source as _;
use keygress_policy::destination::Scheme;
use keygress_policy::preset;
use keygress_policy::problem::Place;
use keygress_policy::reach::{Reach, Workload};

use super::{Finding, Inventory, Severity};
use crate::Credential;
use crate::credentials::Source;

/// How long before its last day a static key is a finding.
const NOTICE_DAYS: i64 = 14;

/// The longest that a static key should be planned to live.
const LONG_DAYS: i64 = 366;

/// Owners who are nobody.
const NOBODY: [&str; 12] = ["-", "?", "n/a", "na", "nobody", "none", "null", "tbd", "todo", "unknown", "unowned", "xxx"];

/// Labels that keep keys apart, and how much it matters where one key serves two.
const APART: [(&str, Severity); 3] = [("stage", Severity::High), ("tenant", Severity::High), ("team", Severity::Low)];

/// Runs every check that needs nothing but the policy.
pub(super) fn run(inventory: &Inventory<'_>, found: &mut Vec<Finding>) {
    let today = TimeZone::UTC.to_datetime(inventory.now).date();
    for credential in inventory.policy.credentials() {
        let about = About { inventory, subject: format!("credential {}", credential.name), place: inventory.policy.place_of(credential) };
        terms(&about, credential, today, found);
        source(&about, credential, found);
        labels(&about, credential, found);
    }
    for reach in inventory.policy.reaches() {
        rule(inventory, &reach, found);
    }
    one_key_twice(inventory, found);
}

/// What a finding is about, and where that stands.
pub(super) struct About<'i> {
    pub(super) inventory: &'i Inventory<'i>,
    pub(super) subject: String,
    pub(super) place: Option<Place>,
}

impl About<'_> {
    pub(super) fn finding(&self, check: &'static str, severity: Severity, message: String, help: impl Into<String>) -> Finding {
        let (file, line) = self.inventory.at(self.place).unzip();
        Finding { check, severity, subject: self.subject.clone(), message, help: help.into(), file, line }
    }
}

fn terms(about: &About<'_>, credential: &Credential, today: Date, found: &mut Vec<Finding>) {
    if NOBODY.contains(&credential.owner.trim().to_ascii_lowercase().as_str()) {
        let message = format!("`{}` is owned by `{}`, which is nobody", credential.name, credential.owner);
        found.push(about.finding("owner_missing", Severity::High, message, "name a person or a team who answers for it"));
    }
    let Some(terms) = &credential.static_terms else { return };
    let within = |days: i64| today.checked_add(days.days()).is_ok_and(|end| terms.expires <= end);
    let (name, expires) = (&credential.name, terms.expires);
    if expires < today {
        let message = format!("the static key `{name}` expired on {expires}");
        let help = "rotate it and set a new date, or replace it by a short-lived credential: keygress does not load this policy";
        found.push(about.finding("static_expired", Severity::High, message, help));
    } else if within(NOTICE_DAYS) {
        let message = format!("the static key `{name}` expires on {expires}");
        let help = "rotate it and set a new date; after that day the policy no longer loads";
        found.push(about.finding("static_expires_soon", Severity::Medium, message, help));
    } else if !within(LONG_DAYS) {
        let message = format!("the static key `{name}` may be used until {expires}: more than a year");
        found.push(about.finding(
            "static_long",
            Severity::Medium,
            message,
            "plan its rotation within a year, and set `expires` to that day",
        ));
    }
}

fn source(about: &About<'_>, credential: &Credential, found: &mut Vec<Finding>) {
    if let Some(instead) = preset::instead_of(credential) {
        let message = format!("`{}` is a static key, but {} gives out short-lived credentials", credential.name, instead.platform);
        found.push(about.finding("federate", Severity::Medium, message, format!("use `{}`: {}", instead.provider, instead.how)));
    }
    if let Source::Environment(_) = credential.source {
        let message = format!("`{}` comes from an environment variable, which others of the same user can read", credential.name);
        found.push(about.finding(
            "development_source",
            Severity::Medium,
            message,
            "use `file`, `sealed` or a store; `environment` is for development",
        ));
    }
}

/// Compares the labels of a credential with those of the workloads that may spend it, and these with one another.
fn labels(about: &About<'_>, credential: &Credential, found: &mut Vec<Finding>) {
    let name = &credential.name;
    if credential.source.is_static() && !credential.labels.contains_key("stage") {
        let message = format!("the static key `{name}` has no `stage`");
        found.push(about.finding(
            "unlabelled",
            Severity::Low,
            message,
            "add `labels: { stage: … }`, also to the workloads that may spend it",
        ));
    }
    let spenders = spenders(about.inventory, credential);
    for (label, severity) in APART {
        let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for workload in &spenders {
            if let Some(value) = workload.labels.get(label) {
                values.entry(value).or_default().push(workload.name.as_str());
            }
        }
        if let Some(own) = credential.labels.get(label) {
            for (value, workloads) in values.iter().filter(|(value, _)| *value != own && label != "team") {
                let message =
                    format!("`{name}` is for {label} `{own}`, but workloads of {label} `{value}` may spend it: {}", workloads.join(", "));
                found.push(about.finding("stage_crossed", severity, message, format!("give {label} `{value}` a credential of its own")));
            }
        } else if values.len() > 1 {
            let all: Vec<String> = values.iter().map(|(value, names)| format!("`{value}` ({})", names.join(", "))).collect();
            let message = format!("one key for {} {label}s: `{name}` serves {}", values.len(), all.join(" and "));
            found.push(about.finding("shared", severity, message, format!("give each {label} a credential of its own, and label it")));
        }
    }
}

/// The workloads that may spend a credential, by name. Rules for everybody name none.
pub(super) fn spenders<'p>(inventory: &Inventory<'p>, credential: &Credential) -> Vec<Workload<'p>> {
    let spends = |reach: &Reach<'_, Source>| reach.rule.credential == Some(credential.index);
    let names: BTreeSet<&str> =
        inventory.policy.reaches().filter(spends).flat_map(|reach| reach.from.unwrap_or_default()).map(|name| name.as_str()).collect();
    inventory.policy.workloads().filter(|workload| names.contains(workload.name.as_str())).collect()
}

fn rule(inventory: &Inventory<'_>, reach: &Reach<'_, Source>, found: &mut Vec<Finding>) {
    let Some(credential) = reach.credential else { return };
    let (rule, name) = (&reach.rule.name, &credential.name);
    let about = About { inventory, subject: format!("rule {rule}"), place: reach.place };
    if reach.from.is_none() {
        let message = format!("rule `{rule}` lets every caller spend `{name}`");
        found.push(about.finding("anyone", Severity::High, message, "name the workloads in `from`"));
    }
    if reach.allow.iter().any(|entry| entry.ends_with(" /**") && entry.starts_with("* ")) {
        let message = format!("rule `{rule}` lets `{name}` do everything at `{}`", reach.rule.origin());
        found.push(about.finding(
            "everything",
            Severity::Medium,
            message,
            "list the methods and paths that are needed; `keygress inventory --audit` shows which were",
        ));
    }
    if reach.rule.unsafe_unscrubbed_body {
        let message = format!("rule `{rule}` does not search answers for `{name}`");
        found.push(about.finding(
            "weakened",
            Severity::Medium,
            message,
            "remove `unsafe_unscrubbed_body` unless these answers cannot be searched",
        ));
    }
    if reach.rule.scheme == Scheme::Http {
        let message = format!("rule `{rule}` sends `{name}` without TLS");
        found.push(about.finding("weakened", Severity::High, message, "write `https` in `to`"));
    }
}

/// Static credentials that read the same source are one key.
fn one_key_twice(inventory: &Inventory<'_>, found: &mut Vec<Finding>) {
    let mut sources: BTreeMap<String, Vec<&Credential>> = BTreeMap::new();
    for credential in inventory.policy.credentials().iter().filter(|credential| credential.source.is_static()) {
        sources.entry(format!("{:?}", credential.source)).or_default().push(credential);
    }
    for same in sources.values().filter(|same| same.len() > 1) {
        let Some((first, others)) = same.split_first() else { continue };
        let stages: BTreeSet<_> = same.iter().filter_map(|credential| credential.labels.get("stage")).collect();
        let severity = if stages.len() > 1 { Severity::High } else { Severity::Medium };
        let names: Vec<String> = others.iter().map(|other| format!("`{}`", other.name)).collect();
        let across = if stages.len() > 1 { ", in several stages" } else { "" };
        let message = format!("`{}` and {} read the same {}{across}", first.name, names.join(", "), first.source.kind());
        let about = About { inventory, subject: format!("credential {}", first.name), place: inventory.policy.place_of(first) };
        found.push(about.finding("one_key_twice", severity, message, "give each a key of its own, so that one can be revoked alone"));
    }
}
