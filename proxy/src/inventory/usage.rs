use std::collections::{BTreeMap, BTreeSet, HashMap};

use http::Method;
use keygress_policy::Rule;

use crate::Policy;
use crate::records::Line;

/// Most leases, fingerprints and names that are remembered; what is beyond is counted and told.
const KEPT_MAX: usize = 200_000;

/// What the audit says, folded line by line into memory that the policy bounds.
#[derive(Debug, Default)]
pub struct Usage {
    /// The first and the last moment on record, in milliseconds.
    pub span: Option<(i64, i64)>,
    /// Records.
    pub records: u64,
    /// By credential.
    pub credentials: BTreeMap<String, Spent>,
    /// By rule.
    pub rules: HashMap<String, Walked>,
    /// Leases that were issued and have not ended, as far as the audit tells, by id.
    pub leases: BTreeMap<String, Lease>,
    /// Credentials that had the same value, by fingerprint: no two keys give one value's fingerprint to another value.
    pub values: BTreeMap<String, BTreeSet<String>>,
    /// Denied requests.
    pub denied: u64,
    /// Alerts.
    pub alerts: u64,
    /// Revocations that failed.
    pub failed_revocations: u64,
    /// Events that were lost.
    pub lost: u64,
    /// What did not fit.
    pub left_out: u64,
}

/// What was done with one credential.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    /// Requests that carried it.
    pub uses: u64,
    /// When it was first issued or used.
    pub first: Option<i64>,
    /// Its last use.
    pub last: Option<LastUse>,
    /// By workload: how often, and when last. Who no workload recognises is `-`.
    pub by: BTreeMap<String, (u64, i64)>,
    /// How often it was issued.
    pub issued: u64,
    /// How often it was issued without an end.
    pub endless: u64,
    /// When the last of these was.
    pub endless_last: Option<i64>,
}

/// The last use of a credential.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LastUse {
    /// When, in milliseconds.
    #[serde(skip)]
    pub time: i64,
    /// By whom.
    pub workload: Option<String>,
    /// In which task.
    pub task: Option<String>,
    /// Where.
    pub host: String,
    /// Under which rule.
    pub rule: Option<String>,
}

/// What was done under one rule.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// Requests.
    pub uses: u64,
    /// The last of them.
    pub last: Option<i64>,
    /// When each entry of `allow` was last met.
    pub entries: Vec<Option<i64>>,
    /// When each workload last came.
    pub by: BTreeMap<String, i64>,
}

/// A lease that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Of what.
    pub credential: String,
    /// For whom.
    pub workload: Option<String>,
    /// For which task.
    pub task: Option<String>,
    /// When it ends by itself, in milliseconds; `None` where it does not.
    pub expires: Option<i64>,
    /// The process that holds it.
    pub instance: String,
}

impl Usage {
    /// Takes one record.
    pub fn take(&mut self, line: &Line<'_>, policy: &Policy) {
        self.records += 1;
        let (first, last) = self.span.unwrap_or((line.time, line.time));
        self.span = Some((first.min(line.time), last.max(line.time)));
        match line.activity.as_str() {
            "used" => self.used(line, policy),
            "issued" => self.issued(line),
            "revoked" | "expired" => {
                self.leases.remove(line.keygress.lease.as_str());
            }
            "revoke_failed" => self.failed_revocations += 1,
            "denied" => self.denied += 1,
            "alert" => self.alerts += 1,
            "gap" => self.lost += line.keygress.lost.unwrap_or(0),
            // What does not expire ends with the process that held it.
            "closed" => self.leases.retain(|_, lease| lease.expires.is_some() || lease.instance != line.instance()),
            "opened" => self.leases.retain(|_, lease| lease.expires.is_some() || lease.instance == line.instance()),
            _ => {}
        }
    }

    /// Leases of a credential that are alive at this moment.
    pub fn alive(&self, credential: &str, now: i64) -> impl Iterator<Item = (&String, &Lease)> {
        self.leases.iter().filter(move |(_, lease)| lease.credential == credential && lease.expires.is_none_or(|end| end > now))
    }

    /// How many whole days it spans, up to now.
    #[must_use]
    pub fn days_up_to(&self, now: i64) -> i64 {
        self.span.map_or(0, |(first, _)| now.saturating_sub(first) / crate::records::when::DAY)
    }

    fn used(&mut self, line: &Line<'_>, policy: &Policy) {
        let ours = &line.keygress;
        if let Some(rule) = ours.rule.given().and_then(|name| policy.rule_named(name)) {
            self.walked(line, rule, policy);
        }
        let Some(credential) = ours.credential.given() else { return };
        if ours.lease.given().is_none() {
            return;
        }
        self.value(line);
        let Some(spent) = self.spent(credential) else { return };
        spent.uses += 1;
        spent.first = Some(spent.first.unwrap_or(line.time).min(line.time));
        let who = ours.workload.given().unwrap_or("-");
        match spent.by.get_mut(who) {
            Some((count, last)) => (*count, *last) = (*count + 1, (*last).max(line.time)),
            None => {
                spent.by.insert(who.to_owned(), (1, line.time));
            }
        }
        if spent.last.as_ref().is_none_or(|last| last.time <= line.time) {
            let text = |text: Option<&str>| text.map(str::to_owned);
            spent.last = Some(LastUse {
                time: line.time,
                workload: text(ours.workload.given()),
                task: text(ours.task.given()),
                host: line.http_request.url.hostname.as_str().to_owned(),
                rule: text(ours.rule.given()),
            });
        }
    }

    fn walked(&mut self, line: &Line<'_>, rule: &Rule, policy: &Policy) {
        let walked = match self.rules.get_mut(rule.name.as_str()) {
            Some(walked) => walked,
            None => self.rules.entry(rule.name.to_string()).or_default(),
        };
        walked.uses += 1;
        walked.last = walked.last.max(Some(line.time));
        let who = line.keygress.workload.given().unwrap_or("-");
        match walked.by.get_mut(who) {
            Some(last) => *last = (*last).max(line.time),
            None => {
                walked.by.insert(who.to_owned(), line.time);
            }
        }
        let Ok(method) = Method::from_bytes(line.http_request.http_method.as_str().as_bytes()) else { return };
        for entry in policy.entries_matching(rule, &method, line.http_request.url.path.as_str()) {
            if walked.entries.len() <= entry {
                walked.entries.resize(entry + 1, None);
            }
            if let Some(last) = walked.entries.get_mut(entry) {
                *last = (*last).max(Some(line.time));
            }
        }
    }

    fn issued(&mut self, line: &Line<'_>) {
        let ours = &line.keygress;
        let Some(credential) = ours.credential.given() else { return };
        self.value(line);
        if let Some(spent) = self.spent(credential) {
            spent.issued += 1;
            spent.first = Some(spent.first.unwrap_or(line.time).min(line.time));
            if ours.expires_in.is_none() {
                spent.endless += 1;
                spent.endless_last = spent.endless_last.max(Some(line.time));
            }
        }
        let Some(id) = ours.lease.given() else { return };
        if self.leases.len() >= KEPT_MAX {
            self.leases.retain(|_, lease| lease.expires.is_none_or(|end| end > line.time));
        }
        if self.leases.len() >= KEPT_MAX {
            self.left_out += 1;
            return;
        }
        let lifetime = |seconds: u64| i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
        let lease = Lease {
            credential: credential.to_owned(),
            workload: ours.workload.given().map(str::to_owned),
            task: ours.task.given().map(str::to_owned),
            expires: ours.expires_in.map(|seconds| line.time.saturating_add(lifetime(seconds))),
            instance: line.instance().to_owned(),
        };
        self.leases.insert(id.to_owned(), lease);
    }

    fn spent(&mut self, credential: &str) -> Option<&mut Spent> {
        if !self.credentials.contains_key(credential) {
            if self.credentials.len() >= KEPT_MAX {
                self.left_out += 1;
                return None;
            }
            self.credentials.insert(credential.to_owned(), Spent::default());
        }
        self.credentials.get_mut(credential)
    }

    fn value(&mut self, line: &Line<'_>) {
        let ours = &line.keygress;
        let (Some(fingerprint), Some(credential)) = (ours.fingerprint.given(), ours.credential.given()) else { return };
        if let Some(names) = self.values.get_mut(fingerprint) {
            if !names.contains(credential) {
                names.insert(credential.to_owned());
            }
        } else if self.values.len() < KEPT_MAX {
            self.values.insert(fingerprint.to_owned(), BTreeSet::from([credential.to_owned()]));
        } else {
            self.left_out += 1;
        }
    }
}
