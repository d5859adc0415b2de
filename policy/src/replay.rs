//! What a policy would answer to requests that were made, and how two policies differ in that.

use crate::compile::{Policy, Source};
use crate::decide::{Decision, Denial, Question};
use crate::explain::Hypothesis;

/// The answer of a policy to one request, in words that two policies share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Answer {
    /// It may be sent.
    Allow {
        /// Under this rule.
        rule: String,
        /// With this credential.
        credential: Option<String>,
        /// Through this broker.
        via: Option<String>,
    },
    /// It may not.
    Deny {
        /// The rule that refuses it, where one does.
        rule: Option<String>,
        /// Why, in one word.
        why: &'static str,
    },
}

/// How the second of two answers differs from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shift {
    /// It was refused, and is allowed.
    Gained,
    /// It was allowed, and is refused.
    Lost,
    /// It is allowed as before, with another credential or by another broker.
    Altered,
}

impl<S: Source> Policy<S> {
    /// Answers a request. A workload that this policy does not have is a caller whom no workload recognises.
    #[must_use]
    pub fn answer(&self, request: &Hypothesis<'_>) -> Answer {
        let workloads = self.workloads_named(request.from).unwrap_or_default();
        let Hypothesis { scheme, host, port, method, path, .. } = *request;
        match self.decide(&Question { workloads: &workloads, scheme, host, port, method, path }) {
            Decision::Grant(grant) => Answer::Allow {
                rule: grant.rule.name.to_string(),
                credential: grant.credential.map(|credential| credential.name.to_string()),
                via: grant.rule.via.as_deref().map(str::to_owned),
            },
            Decision::Denied(denial) => {
                let (rule, why) = match denial {
                    Denial::UnknownDestination => (None, "unknown_destination"),
                    Denial::Caller => (None, "caller"),
                    Denial::Request => (None, "request"),
                    Denial::Except(rule) => (Some(rule), "except"),
                    Denial::Minting(rule) => (Some(rule), "minting"),
                    Denial::Ambiguous(rule, _) => (Some(rule), "ambiguous"),
                    Denial::Path(_) => (None, "path"),
                };
                Answer::Deny { rule: rule.map(|rule| rule.name.to_string()), why }
            }
        }
    }
}

impl Answer {
    /// How this answer differs from the one before; `None` where the caller would see no difference.
    #[must_use]
    pub fn shift_from(&self, before: &Self) -> Option<Shift> {
        match (before, self) {
            (Self::Deny { .. }, Self::Allow { .. }) => Some(Shift::Gained),
            (Self::Allow { .. }, Self::Deny { .. }) => Some(Shift::Lost),
            (Self::Deny { .. }, Self::Deny { .. }) => None,
            (Self::Allow { credential: one, via: by, .. }, Self::Allow { credential: other, via, .. }) => {
                (one != other || by != via).then_some(Shift::Altered)
            }
        }
    }

    /// Whether the request may be sent.
    #[must_use]
    pub fn allows(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}
