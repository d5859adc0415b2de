//! Which entries of the rules the policy's own tests touch.

use crate::compile::{Callers, Policy, Rule, Source, Terms, Test};
use crate::problem::Place;

/// What no test touches of one rule.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Untested {
    /// The rule.
    pub rule: String,
    /// Entries of `allow` that no test's request matches, as written; `* /**` where the rule lists nothing.
    pub allow: Vec<String>,
    /// Entries of `except` that no test's request matches, as written.
    pub except: Vec<String>,
    /// Whether no entry is touched at all.
    pub whole: bool,
    /// Where the rule stands.
    #[serde(skip)]
    pub place: Option<Place>,
}

impl<S: Source> Policy<S> {
    /// The rules that the policy's own tests leave untouched, whole or in part, by name. A test touches an entry that matches its request
    /// where the rule is for its destination and caller.
    #[must_use]
    pub fn untested(&self) -> Vec<Untested> {
        let reaches = self.reaches().zip(&self.terms);
        let found = reaches.filter_map(|(reach, terms)| {
            let tests: Vec<&Test> = self.tests.iter().filter(|test| concerns(test, reach.rule, terms)).collect();
            let idle = |patterns: &[crate::destination::RequestPattern], written: &[&str]| -> Vec<String> {
                let touched =
                    |pattern: &crate::destination::RequestPattern| tests.iter().any(|test| pattern.matches(&test.method, &test.path));
                patterns.iter().zip(written).filter(|(pattern, _)| !touched(pattern)).map(|(_, entry)| (*entry).to_owned()).collect()
            };
            let allow = idle(&terms.allow, &reach.allow);
            let except = idle(&terms.except, &reach.except);
            let whole = allow.len() == terms.allow.len() && except.len() == terms.except.len();
            let is_touched = allow.is_empty() && except.is_empty();
            (!is_touched).then(|| Untested { rule: reach.rule.name.to_string(), allow, except, whole, place: reach.place })
        });
        found.collect()
    }
}

fn concerns(test: &Test, rule: &Rule, terms: &Terms) -> bool {
    let admitted = match &terms.callers {
        Callers::Any => true,
        Callers::These(ids) => test.from.is_some_and(|id| ids.binary_search(&id).is_ok()),
    };
    admitted && (test.scheme, test.port) == (rule.scheme, rule.port) && rule.host.matches(&test.host)
}
