use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::document::At;
use crate::problem::{Complaint, Place, Problem, one_of};

/// Longest name of a workload, credential or rule.
const NAME_BYTES_MAX: usize = 64;

/// Collects the problems of a policy.
pub(super) struct Check {
    /// The day on which the policy is compiled, UTC.
    pub(super) today: Date,
    problems: Vec<Problem>,
}

impl Check {
    pub(super) fn new(today: Date) -> Self {
        Self { today, problems: Vec::new() }
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(super) fn extend(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    pub(super) fn error(&mut self, code: &'static str, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.complain(code, place, Complaint::new(message, help));
    }

    pub(super) fn warning(&mut self, code: &'static str, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::warning(code, place, Complaint::new(message, help)));
    }

    pub(super) fn complain(&mut self, code: &'static str, place: Place, complaint: Complaint) {
        self.problems.push(Problem::error(code, place, complaint));
    }

    /// Whether a key of this file could not be read: what is missing then may be what was misspelled.
    pub(super) fn has_unread(&self, file: usize) -> bool {
        self.problems.iter().any(|problem| {
            problem.place.is_some_and(|place| place.file == file) && matches!(problem.code, "unknown_key" | "unknown_word" | "wrong_type")
        })
    }

    /// Whether everything was well so far.
    pub(super) fn is_clean(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity == crate::problem::Severity::Warning)
    }

    /// All problems in file and line order; of two at one place the one that was found first.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place);
        self.problems
    }
}

/// An entry with its name and file.
pub(super) struct Named<E> {
    /// Its name as written.
    pub(super) name: String,
    /// Where the name stands.
    pub(super) place: Place,
    /// The entry itself.
    pub(super) entry: Box<E>,
}

impl<E> Named<E> {
    /// Where a value of this entry stands.
    pub(super) fn at<T>(&self, value: &At<T>) -> Place {
        value.place(self.place.file)
    }
}

/// The entries of one section, merged.
pub(super) struct Section<E> {
    /// What could be read, by name.
    pub(super) entries: Vec<Named<E>>,
    /// Names whose entry is wrong: they may be named without a second error.
    pub(super) lost: BTreeSet<String>,
}

/// The entries of one section as meant.
pub(super) struct Compiled<T> {
    /// By name.
    pub(super) kept: Vec<T>,
    /// The names, in the same order.
    pub(super) names: Vec<String>,
    /// Where the names stand, in the same order.
    pub(super) places: Vec<Place>,
    /// Names whose entry is wrong.
    pub(super) lost: BTreeSet<String>,
}

impl<T> Compiled<T> {
    /// Compiles every entry of a section; the function gets the index that the result will have.
    pub(super) fn of<E>(section: Section<E>, check: &mut Check, mut compile: impl FnMut(usize, Named<E>, &mut Check) -> Option<T>) -> Self {
        let count = section.entries.len();
        let (kept, names, places) = (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
        let mut compiled = Self { kept, names, places, lost: section.lost };
        for entry in section.entries {
            let (name, place) = (entry.name.clone(), entry.place);
            if !check_name(&name, place, check) {
                compiled.lost.insert(name);
                continue;
            }
            match compile(compiled.kept.len(), entry, check) {
                Some(meant) => {
                    compiled.kept.push(meant);
                    compiled.names.push(name);
                    compiled.places.push(place);
                }
                None => {
                    compiled.lost.insert(name);
                }
            }
        }
        compiled
    }

    /// The index of a name; `None`, with an error, where there is none, and without one where its entry is wrong itself.
    pub(super) fn find(&self, what: &'static str, code: &'static str, name: &str, place: Place, check: &mut Check) -> Option<usize> {
        if let Ok(index) = self.names.binary_search_by(|known| known.as_str().cmp(name)) {
            return Some(index);
        }
        if !self.lost.contains(name) {
            let known: Vec<&String> = self.names.iter().chain(&self.lost).collect();
            let help =
                if known.is_empty() { format!("define it under `{what}s:`") } else { one_of(&format!("the {what}s are"), name, &known) };
            check.error(code, place, format!("there is no {what} `{name}`"), help);
        }
        None
    }
}

fn check_name(name: &str, place: Place, check: &mut Check) -> bool {
    let good = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if !good {
        check.error(
            "bad_name",
            place,
            format!("`{name}` is not a name"),
            "use at most 64 letters, digits, `-`, `_` and `.`, and begin with a letter or digit",
        );
    } else if name == "any" {
        check.error("bad_name", place, "`any` is not a name", "it means every caller in `from: any`; choose another name");
    }
    good && name != "any"
}
