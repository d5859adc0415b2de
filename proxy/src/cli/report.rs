//! `keygress report`: what the inventory found, mapped to the controls that people must answer to.

/// For people.
mod markdown;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::inventory::From;
use crate::inventory::checks::{Finding, OUTSIDE, Severity};
use crate::inventory::report::{self, Search};

/// Arguments of `keygress report`.
///
/// Each check says what it shows and what it does not. An answer is `findings`, `clear` (looked for and not found), `partly` or `unknown` (its
/// evidence was not given), or `unseen` (keygress says nothing of it). None of them says that an organisation meets a control.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    from: From,
    /// What `keygress scan --format json` wrote: keys that are not yet behind the proxy.
    #[arg(long, value_name = "FILE")]
    scan: Option<PathBuf>,
    /// For people, or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Markdown,
    /// One JSON document.
    Json,
}

/// Prints the report.
///
/// # Errors
/// Where a file cannot be read, the policy has errors, or the output cannot be written. What was found is no error.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let read = args.from.read()?;
    let scan = args.scan.as_deref().map(search).transpose()?;
    let inventory = read.inventory();
    let report = report::of(&inventory, scan);
    let mut out = anstream::stdout().lock();
    match args.format {
        Format::Markdown => write!(out, "{}", markdown::all(&report, &report::day(&inventory), &read.caveats))?,
        Format::Json => {
            let mut document = serde_json::to_value(&report)?;
            if let Some(object) = document.as_object_mut() {
                object.insert("caveats".to_owned(), json!(read.caveats));
            }
            writeln!(out, "{document:#}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a scan found. Its rows hold no key, and nothing else of them is taken.
fn search(path: &Path) -> anyhow::Result<Search> {
    let text = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let document: Value = serde_json::from_slice(&text).with_context(|| format!("`{}` is no JSON", path.display()))?;
    let rows = document.get("rows").and_then(Value::as_array);
    let (Some(rows), Some(files)) = (rows, document.get("files").and_then(Value::as_u64)) else {
        bail!("`{}` is not what `keygress scan --format json` writes", path.display());
    };
    let incomplete = document.get("incomplete").and_then(Value::as_array).map_or(0, Vec::len);
    Ok(Search { files, incomplete: incomplete as u64, findings: rows.iter().map(finding).collect() })
}

fn finding(row: &Value) -> Finding {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
    let severity = match text("severity") {
        "high" => Severity::High,
        "low" => Severity::Low,
        _ => Severity::Medium,
    };
    let age = row.get("age_days").and_then(Value::as_i64).map_or_else(String::new, |days| format!(", for {days} days at least"));
    let owner = if text("owner").is_empty() { String::new() } else { format!(", owned by `{}`", text("owner")) };
    let print = if text("fingerprint").is_empty() { "withheld" } else { text("fingerprint") };
    Finding {
        check: OUTSIDE,
        severity,
        subject: format!("key {print}"),
        message: format!("a key ({}) lies outside the proxy{age}{owner}", text("key")),
        help: text("help").to_owned(),
        file: Some(text("file").to_owned()),
        line: row.get("line").and_then(Value::as_u64).and_then(|line| usize::try_from(line).ok()),
    }
}
