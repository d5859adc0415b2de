//! The same walk as `decide`, with a reason for every rule; and the policy's own tests.

use http::Method;

use crate::compile::{Policy, Source};
use crate::destination::{Host, Scheme};
use crate::problem::Place;

/// A request in question, by the name of a workload rather than a proven caller.
#[derive(Debug)]
pub struct Hypothesis<'q> {
    /// The workload's name; `None` for a caller that no workload recognises.
    pub from: Option<&'q str>,
    /// Scheme.
    pub scheme: Scheme,
    /// Host.
    pub host: &'q Host,
    /// Port.
    pub port: u16,
    /// Method.
    pub method: &'q Method,
    /// Path without query.
    pub path: &'q str,
}

/// What `keygress explain` shows.
#[derive(Debug, serde::Serialize)]
pub struct Explanation {
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The credential that is put on.
    pub credential: Option<String>,
    /// One sentence: why.
    pub reason: String,
    /// A rule that would allow it, where it is denied.
    pub suggestion: Option<String>,
    /// Every rule that names the host, and why it does or does not match.
    pub rules: Vec<RuleReason>,
}

/// Why one rule matches or not.
#[derive(Debug, serde::Serialize)]
pub struct RuleReason {
    /// The rule.
    pub rule: String,
    /// Whether it matches.
    pub matches: bool,
    /// Why.
    pub reason: String,
}

/// The outcome of one entry of `tests:`.
#[derive(Debug)]
pub struct TestOutcome {
    /// What was asked, as `POST https://… from billing`.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// `None` where it passed, or what came instead.
    pub failure: Option<String>,
}

impl<S: Source> Policy<S> {
    /// Explains one decision.
    ///
    /// # Errors
    /// A message where `from` names no workload of this policy.
    pub fn explain(&self, question: &Hypothesis<'_>) -> Result<Explanation, String> {
        unimplemented!("{question:?}")
    }

    /// Runs the policy's own tests.
    #[must_use]
    pub fn run_tests(&self) -> Vec<TestOutcome> {
        unimplemented!()
    }
}
