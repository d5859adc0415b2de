use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use keygress_policy::compile::HostPattern;
use serde::{Deserialize, Serialize};

/// The longest name and the longest reason, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// What a stop names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A credential of the policy, by name.
    Credential,
    /// Every credential of an owner.
    Owner,
    /// A workload of the policy, by name: everything that it asks.
    Workload,
    /// A task, by id: everything that it asks.
    Task,
    /// A host, or `*.` and a suffix: everything that goes there.
    Host,
}

impl Subject {
    /// Every subject.
    pub const ALL: [Self; 5] = [Self::Credential, Self::Owner, Self::Workload, Self::Task, Self::Host];

    /// The word for it: key, flag and field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Owner => "owner",
            Self::Workload => "workload",
            Self::Task => "task",
            Self::Host => "host",
        }
    }
}

/// What is stopped: a subject and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    subject: Subject,
    name: Arc<str>,
    host: Option<HostPattern>,
}

impl Target {
    /// Reads a name.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn parse(subject: Subject, name: &str) -> Result<Self, String> {
        if name.is_empty() || name.len() > TEXT_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(format!("a {} has a name of 1 to {TEXT_BYTES_MAX} bytes, without control characters", subject.as_str()));
        }
        let host = match subject {
            Subject::Host => Some(HostPattern::parse(name).map_err(|why| format!("`{name}`: {why}"))?),
            Subject::Credential | Subject::Owner | Subject::Workload | Subject::Task => None,
        };
        Ok(Self { subject, name: name.into(), host })
    }

    /// What it is.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same name, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Which hosts, where it names hosts.
    #[must_use]
    pub fn host(&self) -> Option<&HostPattern> {
        self.host.as_ref()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.subject.as_str(), self.name)
    }
}

/// How far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Refused here until it is resumed; what was issued stays.
    Suspended,
    /// Refused here until it is resumed, and what was issued is revoked at its issuer.
    Revoked,
}

impl Measure {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
        }
    }
}

/// One stop: what, how far, since when, by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is stopped.
    pub target: Target,
    /// How far it goes.
    pub measure: Measure,
    /// Since when.
    pub since: Timestamp,
    /// Who said so, as the kernel names them: `uid 0`.
    pub by: Arc<str>,
    /// Why, in their words.
    pub reason: Option<Arc<str>>,
}

impl Order {
    /// Reads a reason: one line, bounded.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn reason(text: &str) -> Result<Arc<str>, String> {
        if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(format!("a reason has at most {TEXT_BYTES_MAX} bytes, without control characters"));
        }
        Ok(text.into())
    }

    /// One sentence for whoever is refused, and for the record.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self { target, measure, since, by, reason } = self;
        let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{target} was {} at {since:.0} by {by}{reason}", measure.as_str())
    }
}
