//! `keygress demo`: the main job, shown in a few seconds, without configuration and without network.

/// The API and the other servers.
mod api;

/// The application.
mod application;

/// The token issuer.
mod issuer;

/// The audit, read while it is written.
mod journal;

/// What is printed.
mod screen;

/// The steps that are shown.
mod steps;

/// TLS servers on loopback.
mod upstream;

/// Everything that runs.
mod world;

use std::process::ExitCode;
use std::time::Instant;

use steps::Show;
use world::World;

/// Arguments of `keygress demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep the audit of the demonstration in this file.
    #[arg(long, value_name = "FILE")]
    audit: Option<std::path::PathBuf>,
}

/// Shows the main job: allow, deny, a wrong destination, hot reload, renewal, revocation, and what is on record.
///
/// # Errors
/// Where a step does not end as it must, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(show(args))
}

async fn show(args: &Args) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let mut show = Show::open(World::start().await?).await?;
    show.allow().await?;
    show.deny().await?;
    show.wrong_destination().await?;
    show.hot_reload().await?;
    show.renewal().await?;
    show.revocation().await?;
    show.record(args.audit.as_deref()).await?;
    steps::farewell(begun.elapsed())?;
    Ok(ExitCode::SUCCESS)
}
