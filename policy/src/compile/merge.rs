use std::collections::BTreeSet;

use super::Source;
use super::check::{Check, Named, Section};
use crate::document::{CredentialEntry, Entries, RuleEntry, TestEntry, WorkloadEntry, read};
use crate::problem::{Complaint, Place, Problem, SourceFile};
use crate::response::Response;

/// The only version of the format.
const VERSION: u64 = 1;

/// All files as one document.
pub(super) struct Merged<S> {
    pub(super) workloads: Section<WorkloadEntry>,
    pub(super) credentials: Section<CredentialEntry<S>>,
    pub(super) rules: Section<RuleEntry>,
    pub(super) responses: Section<Response>,
    pub(super) tests: Vec<Named<TestEntry>>,
}

impl<E> Section<E> {
    fn new(lost: &[(String, String)], section: &str) -> Self {
        let lost = lost.iter().filter(|(of, _)| of == section).map(|(_, name)| name.clone());
        Self { entries: Vec::new(), lost: lost.collect::<BTreeSet<_>>() }
    }

    fn take(&mut self, entries: Entries<E>, file: usize) {
        self.entries.extend(entries.0.into_iter().map(|(name, entry)| Named { place: name.place(file), name: name.value, entry }));
    }

    /// Brings everything that was taken into the order of the names; of several of one name the first taken stays.
    fn sort(&mut self, what: &str, check: &mut Check) {
        self.entries.sort_by(|one, other| one.name.cmp(&other.name));
        self.entries.dedup_by(|later, first| {
            let twice = later.name == first.name;
            if twice {
                let complaint =
                    Complaint::new(format!("the {what} `{}` is defined twice", later.name), "rename one of the two, or remove it");
                check.push(Problem::error("duplicate_name", later.place, complaint).related(first.place, "first defined here"));
            }
            twice
        });
    }
}

/// Reads every file and merges what could be read.
pub(super) fn merge<S: Source>(files: &[SourceFile], check: &mut Check) -> Merged<S> {
    let mut documents = Vec::new();
    let mut lost = Vec::new();
    for (file, source) in files.iter().enumerate() {
        let reading = read::<S>(file, &source.text);
        let had_problems = !reading.problems.is_empty();
        check.extend(reading.problems);
        lost.extend(reading.lost);
        if let Some(document) = reading.document {
            documents.push((file, document, had_problems));
        }
    }
    let mut merged = Merged {
        workloads: Section::new(&lost, "workloads"),
        credentials: Section::new(&lost, "credentials"),
        rules: Section::new(&lost, "rules"),
        responses: Section::new(&lost, "responses"),
        tests: Vec::new(),
    };
    for (file, document, had_problems) in documents {
        match &document.version {
            Some(version) if version.value == VERSION => {}
            Some(version) => {
                check.error(
                    "unknown_version",
                    version.place(file),
                    format!("version {} of the policy format is unknown", version.value),
                    "write `version: 1`",
                );
            }
            None if had_problems => {}
            None => check.error(
                "missing_key",
                Place { file, start: 0, end: 0 },
                "the key `version` is missing",
                "begin the file with `version: 1`",
            ),
        }
        merged.workloads.take(document.workloads, file);
        merged.credentials.take(document.credentials, file);
        merged.rules.take(document.rules, file);
        merged.responses.take(document.responses, file);
        let tests = document.tests.unwrap_or_default().into_iter();
        merged.tests.extend(tests.map(|test| Named {
            name: String::new(),
            place: test.value.request.place(file),
            entry: Box::new(test.value),
        }));
    }
    merged.workloads.sort("workload", check);
    merged.credentials.sort("credential", check);
    merged.rules.sort("rule", check);
    merged.responses.sort("response to", check);
    merged
}
