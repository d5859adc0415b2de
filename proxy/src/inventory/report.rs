//! The findings, mapped to the controls that people must answer to.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use jiff::tz::TimeZone;
use keygress_policy::Source as _;
use serde::Serialize;

use super::checks::{CHECKS, OUTSIDE};
use super::controls::{FRAMEWORKS, Framework};
use super::{Check, Finding, Inventory};
use crate::records::when;

/// What was found of the controls, with what it was found in.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When it was made.
    pub made: String,
    /// Version of keygress.
    pub keygress: &'static str,
    /// What it was made from.
    pub evidence: Evidence,
    /// The lists of controls.
    pub frameworks: Vec<Answered>,
    /// The checks.
    pub checks: Vec<Checked>,
}

/// What a report was made from.
#[derive(Debug, Serialize)]
pub struct Evidence {
    /// The files of the policy.
    pub policy: Vec<File>,
    /// Credentials in it.
    pub credentials: usize,
    /// Of these, static ones.
    pub static_credentials: usize,
    /// Rules in it.
    pub rules: usize,
    /// Workloads in it.
    pub workloads: usize,
    /// The audit, where one was given.
    pub audit: Option<Audit>,
    /// The search for keys outside the proxy, where one was given.
    pub scan: Option<Search>,
    /// For how many days something must not have been used to count as unused.
    pub unused_days: u32,
}

/// A file of the policy.
#[derive(Debug, Serialize)]
pub struct File {
    /// Its name.
    pub file: String,
    /// SHA-256 of what it says, in hexadecimal.
    pub sha256: String,
}

/// The audit that was read.
#[derive(Debug, Serialize)]
pub struct Audit {
    /// Records in it.
    pub records: u64,
    /// Its first and last record.
    pub span: Option<[String; 2]>,
    /// Whole days from the first record to now.
    pub days: i64,
}

/// What a scan said of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Search {
    /// Files that were searched.
    pub files: u64,
    /// Files that were not, although they should have been.
    pub incomplete: u64,
    /// What it found: a finding for each key.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

/// What can be said of a control or a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Something was found.
    Findings,
    /// It was looked for, and nothing was found: see what that does not prove.
    Clear,
    /// Some of it was looked for, and nothing found; the rest lacks its evidence.
    Partly,
    /// It was not looked for: its evidence was not given.
    Unknown,
    /// keygress says nothing of it.
    Unseen,
}

/// A list of controls, each with its answer.
#[derive(Debug, Serialize)]
pub struct Answered {
    /// The list.
    #[serde(flatten)]
    pub framework: Framework,
    /// Its controls.
    pub controls: Vec<Answer>,
}

/// What is known of one control.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Its id.
    pub id: &'static str,
    /// What it asks for.
    pub title: &'static str,
    /// What can be said.
    pub status: Status,
    /// The checks that speak of it.
    pub checks: Vec<&'static str>,
    /// How much they found.
    pub findings: usize,
    /// Why nothing is said of it.
    pub unseen: &'static str,
}

/// A check with what it found.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// The check.
    #[serde(flatten)]
    pub check: Check,
    /// What can be said.
    pub status: Status,
    /// What it found.
    pub findings: Vec<Finding>,
}

/// Makes the report of an inventory, with what a scan found where there was one.
#[must_use]
pub fn of(inventory: &Inventory<'_>, scan: Option<Search>) -> Report {
    let mut found: BTreeMap<&str, Vec<Finding>> = BTreeMap::new();
    let of_scan = scan.as_ref().map(|scan| scan.findings.clone()).unwrap_or_default();
    for finding in inventory.findings().into_iter().chain(of_scan) {
        found.entry(finding.check).or_default().push(finding);
    }
    let checks: Vec<Checked> = CHECKS
        .iter()
        .map(|check| {
            let findings = found.remove(check.id).unwrap_or_default();
            Checked { check: *check, status: status(check, &findings, inventory, scan.as_ref()), findings }
        })
        .collect();
    let frameworks = FRAMEWORKS.iter().map(|framework| answered(framework, &checks)).collect();
    let made = format!("{:.0}", inventory.now);
    Report { made, keygress: env!("CARGO_PKG_VERSION"), evidence: evidence(inventory, scan), frameworks, checks }
}

fn status(check: &Check, findings: &[Finding], inventory: &Inventory<'_>, scan: Option<&Search>) -> Status {
    let days = inventory.usage.map(|usage| usage.days_up_to(inventory.now.as_millisecond()));
    let is_short = days.is_none_or(|days| days < i64::from(inventory.days));
    match check.id {
        _ if !findings.is_empty() => Status::Findings,
        OUTSIDE if scan.is_none() => Status::Unknown,
        OUTSIDE if scan.is_some_and(|scan| scan.incomplete > 0) => Status::Partly,
        // An audit of five days does not show what was unused for thirty.
        id if id.starts_with("unused_") && is_short => Status::Unknown,
        _ if check.needs_audit && inventory.usage.is_none() => Status::Unknown,
        _ => Status::Clear,
    }
}

fn answered(framework: &Framework, checks: &[Checked]) -> Answered {
    let controls = framework.controls.iter().map(|control| {
        let speaking: Vec<&Checked> = checks.iter().filter(|checked| checked.check.controls.contains(&control.id)).collect();
        let has = |status| speaking.iter().any(|checked| checked.status == status);
        let status = match () {
            () if speaking.is_empty() => Status::Unseen,
            () if has(Status::Findings) => Status::Findings,
            () if has(Status::Partly) || has(Status::Unknown) && has(Status::Clear) => Status::Partly,
            () if has(Status::Unknown) => Status::Unknown,
            () => Status::Clear,
        };
        Answer {
            id: control.id,
            title: control.title,
            status,
            checks: speaking.iter().map(|checked| checked.check.id).collect(),
            findings: speaking.iter().map(|checked| checked.findings.len()).sum(),
            unseen: control.unseen,
        }
    });
    Answered { framework: *framework, controls: controls.collect() }
}

fn evidence(inventory: &Inventory<'_>, scan: Option<Search>) -> Evidence {
    let policy = inventory.policy;
    let files = inventory.files.iter().map(|file| File {
        file: file.name.clone(),
        sha256: digest::digest(&digest::SHA256, file.text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
    });
    Evidence {
        policy: files.collect(),
        credentials: policy.credentials().len(),
        static_credentials: policy.credentials().iter().filter(|credential| credential.source.is_static()).count(),
        rules: policy.rules().len(),
        workloads: policy.workloads().count(),
        audit: inventory.usage.map(|usage| Audit {
            records: usage.records,
            span: usage.span.map(|(first, last)| [first, last].map(when::shown)),
            days: usage.days_up_to(inventory.now.as_millisecond()),
        }),
        scan,
        unused_days: inventory.days,
    }
}

/// The day on which a report was made, for its title.
#[must_use]
pub fn day(inventory: &Inventory<'_>) -> String {
    TimeZone::UTC.to_datetime(inventory.now).date().to_string()
}
