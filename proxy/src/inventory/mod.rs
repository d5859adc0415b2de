//! Which credentials there are, who answers for them, who may spend them, and who did: the policy joined with the audit.

/// What the audit says of credentials, rules and leases.
pub mod usage;

/// What is checked, what each check proves, and the controls that it answers to.
pub mod checks;

/// The controls that people must answer to.
pub mod controls;

/// The findings, mapped to them.
pub mod report;

/// Checks of the policy alone.
mod policy_checks;

/// Checks that take the audit, too.
mod usage_checks;

/// One row for each credential.
pub mod row;

/// What a workload can spend, and who can spend a credential.
pub mod blast;

use jiff::Timestamp;
use keygress_policy::problem::{Place, SourceFile, line_column};

use crate::Policy;

pub use checks::{Check, Finding, Severity};
pub use row::Row;
pub use usage::Usage;

/// Everything that an inventory is made of.
#[derive(Debug)]
pub struct Inventory<'p> {
    /// The policy.
    pub policy: &'p Policy,
    /// Its files, for places.
    pub files: &'p [SourceFile],
    /// What the audit says, where one was given.
    pub usage: Option<&'p Usage>,
    /// Now.
    pub now: Timestamp,
    /// For how many days something must not have been used to count as unused.
    pub days: u32,
}

impl Inventory<'_> {
    /// One row for each credential, by name.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let findings = self.findings();
        self.policy.credentials().iter().map(|credential| Row::of(self, credential, &findings)).collect()
    }

    /// What somebody should look at, the worst first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        policy_checks::run(self, &mut findings);
        if let Some(usage) = self.usage {
            usage_checks::run(self, usage, &mut findings);
        }
        findings.sort_by(|one, other| {
            (one.severity, one.check, &one.subject, &one.message).cmp(&(other.severity, other.check, &other.subject, &other.message))
        });
        findings
    }

    /// `file:line` of a place.
    #[must_use]
    pub fn at(&self, place: Option<Place>) -> Option<(String, usize)> {
        let place = place?;
        let file = self.files.get(place.file)?;
        Some((file.name.clone(), line_column(&file.text, place.start).0))
    }
}

#[cfg(test)]
mod tests;
