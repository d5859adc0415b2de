//! Problems of a policy and findings of an inventory, in SARIF.

use std::collections::BTreeMap;

use keygress_policy::problem::{Problem, Severity, SourceFile, line_column};
use serde_json::{Value, json};

use super::sarif::{Level, Notice, Outcome, Place, Rule, document};
use crate::inventory::Finding;
use crate::inventory::checks::{CHECKS, OUTSIDE};

/// Problems of a policy: a rule for each code that is there.
pub(super) fn problems(problems: &[Problem], files: &[SourceFile]) -> Value {
    let mut codes: BTreeMap<&str, Level> = BTreeMap::new();
    for problem in problems {
        codes.insert(problem.code, level(problem.severity));
    }
    let rules: Vec<Rule> = codes
        .iter()
        .map(|(code, level)| Rule {
            id: (*code).to_owned(),
            title: code.replace('_', " "),
            text: format!("What `keygress check` calls `{code}`: the message of each result says what is wrong, and what to do."),
            help: None,
            level: *level,
            tags: vec!["policy".to_owned()],
        })
        .collect();
    let outcomes: Vec<Outcome> = problems.iter().map(|problem| of_problem(problem, files)).collect();
    document("check", &rules, &outcomes, &[])
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warning,
    }
}

fn of_problem(problem: &Problem, files: &[SourceFile]) -> Outcome {
    let place = problem.place.and_then(|place| {
        let file = files.get(place.file)?;
        let (line, column) = line_column(&file.text, place.start);
        Some(Place { file: file.name.clone(), line: Some(line as u64), column: Some(column as u64) })
    });
    let help = problem.help.as_ref().map_or_else(String::new, |help| format!(". {help}"));
    Outcome {
        rule: problem.code.to_owned(),
        level: level(problem.severity),
        message: format!("{}{help}", problem.message),
        identity: format!("{}:{}", problem.code, problem.message),
        place,
        properties: json!({}),
    }
}

/// Findings of an inventory: a rule for each check that was made.
pub(super) fn findings(findings: &[Finding], has_audit: bool, caveats: &[String]) -> Value {
    let made = CHECKS.iter().filter(|check| check.id != OUTSIDE && (has_audit || !check.needs_audit));
    let rules: Vec<Rule> = made
        .map(|check| Rule {
            id: check.id.to_owned(),
            title: check.title.to_owned(),
            text: format!("Where nothing is found, that shows {}. It does not show {}.", check.proves, check.does_not_prove),
            help: None,
            level: Level::Warning,
            tags: check.controls.iter().map(|control| (*control).to_owned()).collect(),
        })
        .collect();
    let outcomes: Vec<Outcome> = findings
        .iter()
        .map(|finding| Outcome {
            rule: finding.check.to_owned(),
            level: Level::from(finding.severity),
            message: format!("{}. {}", finding.message, finding.help),
            place: finding.file.as_ref().map(|file| Place { file: file.clone(), line: finding.line.map(|line| line as u64), column: None }),
            identity: format!("{}:{}", finding.check, finding.subject),
            properties: json!({ "severity": finding.severity, "subject": finding.subject }),
        })
        .collect();
    let notices: Vec<Notice> = caveats.iter().map(|caveat| Notice { level: Level::Note, text: caveat.clone(), file: None }).collect();
    document("inventory", &rules, &outcomes, &notices)
}
