//! `keygress audit`: questions to an audit file.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::check::{Format, counted};
use crate::audit::{self, Verified};

/// Arguments of `keygress audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check that no record was changed, removed or inserted; name the first bad one.
    Verify {
        /// The audit file: one JSON record a line.
        file: PathBuf,
        /// For people or for machines.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Runs the subcommand; `verify` exits with 1 where a record is bad.
///
/// # Errors
/// Where the file cannot be read or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::Verify { file, format } = &args.command;
    let verified = audit::verify(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    match format {
        Format::Text => writeln!(anstream::stdout(), "{}", verdict(&verified))?,
        Format::Json => writeln!(anstream::stdout(), "{:#}", serde_json::to_value(&verified)?)?,
    }
    Ok(if verified.first_bad.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line for people: intact, or the first bad record.
pub(super) fn verdict(verified: &Verified) -> String {
    match &verified.first_bad {
        None => format!("intact: {}, one unbroken chain", counted(verified.records, "record")),
        Some((line, why)) => format!("broken at line {line}: {why}"),
    }
}
