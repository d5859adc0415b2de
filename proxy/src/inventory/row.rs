use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use keygress_policy::Source as _;
use serde::Serialize;

use super::usage::LastUse;
use super::{Finding, Inventory};
use crate::Credential;
use crate::records::when;

/// One credential, with everything that is known of it but what it is.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub credential: String,
    /// `static` or `short-lived`.
    pub kind: &'static str,
    /// Who answers for it.
    pub owner: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The provider.
    pub provider: &'static str,
    /// What it yields, such as `a token`.
    pub yields: String,
    /// The injection.
    pub injection: &'static str,
    /// The preset.
    pub preset: Option<&'static str>,
    /// Why it is static.
    pub reason: Option<String>,
    /// Its last day, where it is static.
    pub expires: Option<String>,
    /// How many days are left; negative where it is past.
    pub expires_in_days: Option<i64>,
    /// For how many days the file that holds it has not changed, where it is a file that can be seen from here.
    pub unchanged_days: Option<i64>,
    /// The hosts that it may ever reach.
    pub destinations: Vec<String>,
    /// The rules that put it on.
    pub rules: Vec<String>,
    /// The workloads that may spend it; `any` where everybody may.
    pub workloads: Vec<String>,
    /// How often it was used, where an audit was given.
    pub uses: Option<u64>,
    /// When it was first issued or used.
    pub first_seen: Option<String>,
    /// When it was last used.
    pub last_used: Option<String>,
    /// That use.
    pub last_use: Option<LastUse>,
    /// How often each workload used it; `-` is who no workload recognises.
    pub used_by: BTreeMap<String, u64>,
    /// Leases that have not ended, where an audit was given.
    pub leases_alive: Option<usize>,
    /// The ids of the checks that found something.
    pub findings: Vec<&'static str>,
    /// File of the policy.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<usize>,
}

impl Row {
    pub(super) fn of(inventory: &Inventory<'_>, credential: &Credential, findings: &[Finding]) -> Self {
        let name = credential.name.as_str();
        let today = TimeZone::UTC.to_datetime(inventory.now).date();
        let reaches: Vec<_> = inventory.policy.reaches().filter(|reach| reach.rule.credential == Some(credential.index)).collect();
        let workloads: BTreeSet<&str> = (reaches.iter())
            .flat_map(|reach| match &reach.from {
                None => vec!["any"],
                Some(names) => names.iter().map(|name| name.as_str()).collect(),
            })
            .collect();
        let spent = inventory.usage.map(|usage| usage.credentials.get(name).cloned().unwrap_or_default());
        let expires = credential.static_terms.as_ref().map(|terms| terms.expires);
        let subject = format!("credential {name}");
        let concerned: BTreeSet<&str> = findings.iter().filter(|finding| finding.subject == subject).map(|finding| finding.check).collect();
        let (file, line) = inventory.at(inventory.policy.place_of(credential)).unzip();
        let last_use = spent.as_ref().and_then(|spent| spent.last.clone());
        Self {
            credential: name.to_owned(),
            kind: if credential.source.is_static() { "static" } else { "short-lived" },
            owner: credential.owner.clone(),
            labels: credential.labels.clone(),
            provider: credential.source.kind(),
            yields: credential.source.yields().to_string(),
            injection: credential.injection.kind(),
            preset: credential.preset.map(|preset| preset.name),
            reason: credential.static_terms.as_ref().map(|terms| terms.reason.clone()),
            expires: expires.map(|date| date.to_string()),
            expires_in_days: expires.and_then(|date| today.until(date).ok()).map(|span| i64::from(span.get_days())),
            unchanged_days: unchanged(credential, inventory.now),
            destinations: credential.only_to.iter().map(ToString::to_string).collect(),
            rules: reaches.iter().map(|reach| reach.rule.name.to_string()).collect(),
            workloads: workloads.into_iter().map(str::to_owned).collect(),
            uses: spent.as_ref().map(|spent| spent.uses),
            first_seen: spent.as_ref().and_then(|spent| spent.first).map(when::shown),
            last_used: last_use.as_ref().map(|last| when::shown(last.time)),
            last_use,
            used_by: spent.map(|spent| spent.by.into_iter().map(|(who, (count, _))| (who, count)).collect()).unwrap_or_default(),
            leases_alive: inventory.usage.map(|usage| usage.alive(name, inventory.now.as_millisecond()).count()),
            findings: concerned.into_iter().collect(),
            file,
            line,
        }
    }
}

/// Days since the newest file of a static credential changed: how old the key is, at least.
fn unchanged(credential: &Credential, now: Timestamp) -> Option<i64> {
    if credential.source.kind() != "file" {
        return None;
    }
    let changed = |path: &&std::path::Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let newest = credential.source.reads().iter().filter_map(changed).max()?;
    let newest = Timestamp::try_from(newest).ok()?;
    Some(now.as_millisecond().saturating_sub(newest.as_millisecond()) / when::DAY)
}
