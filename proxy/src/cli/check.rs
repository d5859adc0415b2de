//! `keygress check`: every problem of a policy, each with its place and remedy.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use keygress_policy::problem::{self, Colour, Problem, Severity, SourceFile};
use serde_json::json;

use super::lints;
use crate::Policy;
use crate::reload;

/// Arguments of `keygress check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders that together are one policy.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// For people, for machines, or for code hosts and editors.
    #[arg(long, value_enum, default_value_t)]
    format: Lints,
}

/// How lints are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Lints {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0.
    Sarif,
}

/// How a command prints its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Prints every problem of the policy.
///
/// # Errors
/// Where a file cannot be read or the output cannot be written. Problems of the policy are not an error: they are the result, and the exit code is 1.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = load(&args.paths)?;
    match args.format {
        Lints::Text => {
            loaded.print_problems()?;
            writeln!(anstream::stdout(), "{}", loaded.verdict())?;
        }
        Lints::Json => writeln!(anstream::stdout(), "{:#}", loaded.as_json())?,
        Lints::Sarif => writeln!(anstream::stdout(), "{:#}", lints::problems(&loaded.problems, &loaded.files))?,
    }
    Ok(if loaded.policy.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The files of one policy and what came of compiling them.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The files, in the order in which problems number them.
    pub(super) files: Vec<SourceFile>,
    /// Errors and warnings.
    pub(super) problems: Vec<Problem>,
    /// The policy, where no problem is an error.
    pub(super) policy: Result<Policy, Rejected>,
}

/// The policy has errors; they are in [`Loaded::problems`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Rejected;

/// Reads and compiles the files and folders of one policy.
///
/// # Errors
/// Where one of them cannot be read.
pub(super) fn load(paths: &[PathBuf]) -> anyhow::Result<Loaded> {
    let files = reload::read(paths).context("cannot read the policy")?;
    Ok(compile(files))
}

fn compile(files: Vec<SourceFile>) -> Loaded {
    match reload::compile(&files) {
        Ok((policy, problems)) => Loaded { files, problems, policy: Ok(policy) },
        Err(problems) => Loaded { files, problems, policy: Err(Rejected) },
    }
}

/// Reads and compiles a policy that another command needs; its problems go to standard error.
///
/// # Errors
/// Where a file cannot be read or the policy has errors.
pub(super) fn load_valid(paths: &[PathBuf]) -> anyhow::Result<(Policy, Vec<SourceFile>)> {
    let loaded = load(paths)?;
    loaded.print_problems()?;
    let errors = loaded.count(Severity::Error);
    match loaded.policy {
        Ok(policy) => Ok((policy, loaded.files)),
        Err(Rejected) => anyhow::bail!("the policy has {}", counted(errors, "error")),
    }
}

impl Loaded {
    pub(super) fn print_problems(&self) -> std::io::Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        writeln!(anstream::stderr(), "{}", problem::render(&self.problems, &self.files, Colour::Ansi).trim_end())
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// The last line: what the policy holds, or how much is wrong with it.
    fn verdict(&self) -> String {
        let warnings = counted(self.count(Severity::Warning), "warning");
        match &self.policy {
            Ok(policy) => {
                let rules = counted(policy.rules().len(), "rule");
                let credentials = counted(policy.credentials().len(), "credential");
                format!("ok: {rules}, {credentials}, {warnings}")
            }
            Err(Rejected) => format!("rejected: {}, {warnings}", counted(self.count(Severity::Error), "error")),
        }
    }

    fn as_json(&self) -> serde_json::Value {
        let problems: Vec<_> = self.problems.iter().map(|problem| self.problem_as_json(problem)).collect();
        json!({
            "ok": self.policy.is_ok(),
            "rules": self.policy.as_ref().map_or(0, |policy| policy.rules().len()),
            "credentials": self.policy.as_ref().map_or(0, |policy| policy.credentials().len()),
            "problems": problems,
        })
    }

    fn problem_as_json(&self, problem: &Problem) -> serde_json::Value {
        let place = problem.place.and_then(|place| {
            let file = self.files.get(place.file)?;
            let (line, column) = problem::line_column(&file.text, place.start);
            Some(json!({ "file": file.name, "line": line, "column": column }))
        });
        json!({
            "severity": match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            "code": problem.code,
            "message": problem.message,
            "place": place,
            "help": problem.help,
        })
    }
}

/// `1 rule`, `2 rules`.
pub(super) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}
