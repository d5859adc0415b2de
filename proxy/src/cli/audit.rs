//! `keygress audit`: questions to an audit file.

use std::process::ExitCode;

/// Which records are asked for.
mod filter;

/// Which records, and how many.
mod query;

/// Records in another form.
mod export;

/// Records as they are written.
mod tail;

/// Uses that a provider saw and keygress did not make.
mod reconcile;

/// Is it what was written?
mod verify;

pub(super) use verify::verdict;

/// Arguments of `keygress audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the records that are asked for, or count them by a field.
    Query(Box<query::Args>),
    /// Write the records that are asked for as CSV, or as OCSF for what collects security events.
    Export(Box<export::Args>),
    /// Print the records that are asked for as they are written.
    Tail(Box<tail::Args>),
    /// Compare the audit with what a provider logged: a use that keygress did not make is an alert.
    Reconcile(reconcile::Args),
    /// Check that no record was changed, removed or inserted; name the first bad one.
    Verify(verify::Args),
}

/// Runs the subcommand; `verify` exits with 1 where a record is bad, `reconcile` where a use is nobody's.
///
/// # Errors
/// Where the file cannot be read or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Query(args) => query::run(args).map(|()| ExitCode::SUCCESS),
        Command::Export(args) => export::run(args).map(|()| ExitCode::SUCCESS),
        Command::Tail(args) => tail::run(args).map(|()| ExitCode::SUCCESS),
        Command::Reconcile(args) => reconcile::run(args),
        Command::Verify(args) => verify::run(args),
    }
}
