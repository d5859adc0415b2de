use jiff::Timestamp;
use keygress_policy::workload::Holder;
use serde::{Deserialize, Serialize};

use crate::stops::{Measure, Order, Subject, Target};

/// One row. A new kind is a new version of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Row {
    /// The first row of a file: what it is, and in which version.
    Begun {
        /// Version of the format.
        version: u32,
    },
    /// A lease began.
    Issued(Box<Issued>),
    /// A lease ended.
    Ended {
        /// Its id.
        lease: String,
        /// `revoked`, `not_revocable`, `expired` or `superseded`.
        how: String,
    },
    /// Something was stopped by hand.
    Stopped(Stopped),
    /// It may go on.
    Resumed {
        /// What it is.
        subject: Subject,
        /// What it is called.
        name: String,
    },
}

/// A lease: what was issued, for whom, until when, and what revokes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issued {
    /// Its id.
    pub lease: String,
    /// Name of the credential.
    pub credential: String,
    /// SHA-256 of what the policy said of it: only the same may revoke.
    pub definition: String,
    /// Kind of the provider.
    pub provider: String,
    /// For which workload.
    pub workload: Option<String>,
    /// For which task.
    pub task: Option<String>,
    /// The rule whose request called for it first.
    pub rule: Option<String>,
    /// Keyed fingerprint of the secret.
    pub fingerprint: String,
    /// When it was issued, in seconds since 1970.
    pub issued: i64,
    /// When it ends by itself, likewise; absent where it does not.
    pub expires: Option<i64>,
    /// What revokes it, sealed for this lease; absent where nothing does.
    pub handle: Option<String>,
}

impl Issued {
    /// For whom it was issued.
    #[must_use]
    pub fn holder(&self) -> Holder {
        let workload = self.workload.as_deref().map(Into::into);
        match (&self.task, workload) {
            (Some(task), workload) => Holder::Task { id: task.as_str().into(), workload },
            (None, Some(workload)) => Holder::Workload(workload),
            (None, None) => Holder::Shared,
        }
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now.as_second())
    }
}

/// A stop, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    /// What it is.
    pub subject: Subject,
    /// What it is called.
    pub name: String,
    /// How far it goes.
    pub measure: Measure,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

impl From<&Order> for Stopped {
    fn from(order: &Order) -> Self {
        Self {
            subject: order.target.subject(),
            name: order.target.name().to_owned(),
            measure: order.measure,
            since: order.since.as_second(),
            by: order.by.to_string(),
            reason: order.reason.as_deref().map(str::to_owned),
        }
    }
}

impl Stopped {
    /// The order that it is.
    ///
    /// # Errors
    /// Why it is none.
    pub fn order(&self) -> Result<Order, String> {
        Ok(Order {
            target: Target::parse(self.subject, &self.name)?,
            measure: self.measure,
            since: Timestamp::from_second(self.since).map_err(|error| error.to_string())?,
            by: self.by.as_str().into(),
            reason: self.reason.as_deref().map(Order::reason).transpose()?,
        })
    }
}
