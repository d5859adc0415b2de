//! `keygress test`: the policy's own `tests:`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use keygress_policy::coverage::Untested;
use keygress_policy::explain::TestOutcome;
use keygress_policy::problem::{self, SourceFile};
use serde_json::json;

use super::check::{self, Format, counted};

const PASSED: Style = AnsiColor::Green.on_default().bold();
const FAILED: Style = AnsiColor::Red.on_default().bold();

/// Arguments of `keygress test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders that together are one policy.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Also tell which entries of the rules no test touches.
    #[arg(long)]
    coverage: bool,
}

/// Runs the policy's own tests; the exit code is 1 where one of them failed or there is none.
///
/// # Errors
/// Where a file cannot be read, the policy has errors, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (policy, files) = check::load_valid(&args.paths)?;
    let outcomes = policy.run_tests();
    let untested = args.coverage.then(|| policy.untested());
    match args.format {
        Format::Text => {
            print(&outcomes, &files)?;
            if let Some(untested) = untested {
                write!(anstream::stdout(), "{}", uncovered(&untested, policy.rules().len()))?;
            }
        }
        Format::Json => {
            let mut document = as_json(&outcomes, &files);
            if let Some((untested, object)) = untested.zip(document.as_object_mut()) {
                object.insert("untested".to_owned(), serde_json::to_value(untested)?);
            }
            writeln!(anstream::stdout(), "{document:#}")?;
        }
    }
    let passed = !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.failure.is_none());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(outcomes: &[TestOutcome], files: &[SourceFile]) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    if outcomes.is_empty() {
        return writeln!(out, "no tests: the policy has no `tests:`");
    }
    for outcome in outcomes {
        match &outcome.failure {
            None => writeln!(out, "{PASSED}pass{PASSED:#}  {}", outcome.name)?,
            Some(failure) => {
                writeln!(out, "{FAILED}FAIL{FAILED:#}  {}", outcome.name)?;
                writeln!(out, "      {failure}")?;
                writeln!(out, "      --> {}", place(outcome, files))?;
            }
        }
    }
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let summary = format!("{}: {} passed, {failed} failed", counted(outcomes.len(), "test"), outcomes.len() - failed);
    let style = if failed == 0 { PASSED } else { FAILED };
    writeln!(out, "\n{style}{summary}{style:#}")
}

/// What no test touches, entry by entry.
fn uncovered(untested: &[Untested], rules: usize) -> String {
    let mut out = String::new();
    for Untested { rule, allow, except, whole, .. } in untested {
        let how = if *whole { "no test touches it" } else { "no test touches" };
        out.push_str(&format!("\nrule {rule}: {how}\n"));
        allow.iter().for_each(|entry| out.push_str(&format!("  allow   {entry}\n")));
        except.iter().for_each(|entry| out.push_str(&format!("  except  {entry}\n")));
    }
    let whole = untested.iter().filter(|rule| rule.whole).count();
    out.push_str(&format!("\ncoverage: {} of {rules} rules are touched, {} in full\n", rules - whole, rules - untested.len()));
    out
}

fn place(outcome: &TestOutcome, files: &[SourceFile]) -> String {
    let Some(file) = files.get(outcome.place.file) else { return String::new() };
    let (line, column) = problem::line_column(&file.text, outcome.place.start);
    format!("{}:{line}:{column}", file.name)
}

fn as_json(outcomes: &[TestOutcome], files: &[SourceFile]) -> serde_json::Value {
    let tests: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "name": outcome.name,
                "passed": outcome.failure.is_none(),
                "failure": outcome.failure,
                "place": place(outcome, files),
            })
        })
        .collect();
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    json!({ "passed": outcomes.len() - failed, "failed": failed, "tests": tests })
}
