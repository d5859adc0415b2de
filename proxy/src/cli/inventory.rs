//! `keygress inventory`: which credentials there are, who owns them, who may spend them, and who did.

/// For people.
mod text;

/// For spreadsheets.
mod csv;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use jiff::civil::Date;
use keygress_policy::problem::{self, Colour, SourceFile};
use serde_json::json;

use super::lints;
use crate::Policy;
use crate::inventory::{Inventory, Severity, Usage, blast};
use crate::records::{self, Step};
use crate::reload;

/// Arguments of `keygress inventory`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    from: From,
    /// Show what this workload may do, and with which credentials.
    #[arg(long, value_name = "NAME", conflicts_with = "credential")]
    workload: Option<String>,
    /// Show everything of this credential, and who may spend it.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
    /// For people, for machines, or for a spreadsheet.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Exit with 1 where a finding is at least this severe.
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
}

/// What an inventory is made from: shared with `report`.
#[derive(Debug, clap::Args)]
pub(super) struct From {
    /// Files and folders that together are one policy.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// An audit file, or several of one audit, oldest first; `-` is standard input.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    audit: Vec<PathBuf>,
    /// What was not used for so many days counts as unused. An audit that covers less says nothing of it.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    days: u32,
}

/// How the inventory is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// One line for each credential.
    Csv,
    /// The findings in SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// What an inventory is made of, read.
pub(super) struct Read {
    policy: Policy,
    files: Vec<SourceFile>,
    usage: Option<Usage>,
    now: Timestamp,
    days: u32,
    /// What somebody should know who trusts it.
    pub(super) caveats: Vec<String>,
}

/// Prints the credentials of a policy with what is wrong with them, or what one workload or credential reaches.
///
/// # Errors
/// Where a file cannot be read, the policy has errors, a name is none of it, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let read = args.from.read()?;
    let inventory = read.inventory();
    let mut out = anstream::stdout().lock();
    if let Some(name) = &args.workload {
        if !inventory.policy.has_workload(name) {
            bail!("there is no workload `{name}` in this policy");
        }
        let rights = blast::of_workload(&inventory, name);
        match args.format {
            Format::Text => write!(out, "{}", text::workload(name, &rights))?,
            Format::Json => writeln!(out, "{:#}", json!({ "workload": name, "rights": rights }))?,
            Format::Csv => write!(out, "{}", csv::rights(&rights))?,
            Format::Sarif => bail!("`--format sarif` is for all findings: leave out `--workload`"),
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &args.credential {
        let Some(row) = inventory.rows().into_iter().find(|row| row.credential == *name) else {
            bail!("there is no credential `{name}` in this policy");
        };
        let rights = blast::of_credential(&inventory, name);
        let subject = format!("credential {name}");
        let findings: Vec<_> = inventory.findings().into_iter().filter(|finding| finding.subject == subject).collect();
        match args.format {
            Format::Text => write!(out, "{}", text::credential(&row, &rights, &findings, read.now))?,
            Format::Json => writeln!(out, "{:#}", json!({ "credential": row, "rights": rights, "findings": findings }))?,
            Format::Csv => write!(out, "{}", csv::rights(&rights))?,
            Format::Sarif => writeln!(out, "{:#}", lints::findings(&findings, read.usage.is_some(), &[]))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (rows, findings) = (inventory.rows(), inventory.findings());
    match args.format {
        Format::Text => write!(out, "{}", text::all(&rows, &findings, read.usage.as_ref(), read.now))?,
        Format::Csv => write!(out, "{}", csv::rows(&rows))?,
        Format::Sarif => writeln!(out, "{:#}", lints::findings(&findings, read.usage.is_some(), &read.caveats))?,
        Format::Json => {
            let span = read.usage.as_ref().and_then(|usage| usage.span).map(|(first, last)| [first, last].map(records::when::shown));
            let alive = json!(read.usage.as_ref().map(|usage| usage.records));
            let document = json!({
                "made": format!("{:.0}", read.now), "audit": { "span": span, "records": alive }, "caveats": read.caveats,
                "credentials": rows, "findings": findings,
            });
            writeln!(out, "{document:#}")?;
        }
    }
    read.print_caveats()?;
    let worst = findings.iter().map(|finding| finding.severity).min();
    let failed = args.fail_on.is_some_and(|bound| worst.is_some_and(|worst| worst <= bound));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl From {
    /// Reads policy and audit.
    ///
    /// # Errors
    /// Where one of them cannot be read, or the policy has errors other than an expired key.
    pub(super) fn read(&self) -> anyhow::Result<Read> {
        let files = reload::read(&self.paths)?;
        let now = Timestamp::now();
        let policy = compile(&files)?;
        let mut caveats = Vec::new();
        let mut usage = None;
        if !self.audit.is_empty() {
            let mut seen = Usage::default();
            let reading = records::read_files(&self.audit, b"", |_, line| {
                seen.take(line, &policy);
                Ok(Step::On)
            })?;
            caveats = reading.caveats();
            let covered = seen.days_up_to(now.as_millisecond());
            if covered < i64::from(self.days) {
                caveats.push(format!("the audit covers {covered} days: what is unused for {} days cannot be told", self.days));
            }
            if seen.left_out > 0 {
                caveats.push(format!("{} leases, values or names did not fit into memory and are left out", seen.left_out));
            }
            usage = Some(seen);
        }
        Ok(Read { policy, files, usage, now, days: self.days, caveats })
    }
}

impl Read {
    pub(super) fn inventory(&self) -> Inventory<'_> {
        Inventory { policy: &self.policy, files: &self.files, usage: self.usage.as_ref(), now: self.now, days: self.days }
    }

    /// Tells on standard error what somebody should know who trusts it.
    pub(super) fn print_caveats(&self) -> std::io::Result<()> {
        self.caveats.iter().try_for_each(|caveat| writeln!(anstream::stderr(), "note: {caveat}"))
    }
}

/// A policy whose only fault is that keys have expired is still one to be looked at: that is why somebody looks.
pub(super) fn compile(files: &[SourceFile]) -> anyhow::Result<Policy> {
    let problems = match reload::compile(files) {
        Ok((policy, _)) => return Ok(policy),
        Err(problems) => problems,
    };
    let real = |problem: &problem::Problem| problem.severity == problem::Severity::Error && problem.code != "static_expired";
    if !problems.iter().any(real)
        && let Ok((policy, _)) = Policy::compile(files, Date::MIN)
    {
        return Ok(policy);
    }
    writeln!(anstream::stderr(), "{}", problem::render(&problems, files, Colour::Ansi).trim_end())?;
    bail!("the policy has errors")
}
