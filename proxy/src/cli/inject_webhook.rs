//! `keygress inject-webhook`: a mutating admission webhook for `Pod`s, over TLS.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use crate::identity::{Files, Identity};
use crate::sandbox;
use crate::sidecar::Plan;
use crate::webhook::Server;

/// Arguments of `keygress inject-webhook`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the API server asks, at the path `/inject`; `/healthz` answers probes.
    #[arg(long, value_name = "ADDRESS", env = "KEYGRESS_WEBHOOK_LISTEN", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Its certificate, with its chain (PEM), for the name of its Service; read again when it changes.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_WEBHOOK_CERTIFICATE")]
    certificate: PathBuf,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", env = "KEYGRESS_WEBHOOK_KEY")]
    key: PathBuf,
    #[command(flatten)]
    plan: Plan,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Where the address cannot be had, or the certificate cannot be used.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt().compact().with_target(false).with_ansi(false).with_writer(io::stderr).init();
    sandbox::undumpable();
    // No client is asked for a certificate, so it does not matter whom we trust.
    let files = Files { certificate: args.certificate.clone(), key: args.key.clone(), ca: args.certificate.clone() };
    let identity = Identity::read(files).map_err(|why| anyhow!(why))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let server = Server::bind(args.listen, identity, args.plan.clone()).await;
        let server = server.with_context(|| format!("cannot listen on {}", args.listen))?;
        writeln!(anstream::stderr(), "keygress {} answers the API server on {}", env!("CARGO_PKG_VERSION"), server.address()?)?;
        server
            .serve(async {
                tokio::select! {
                    _ = terminated.recv() => {}
                    _ = interrupted.recv() => {}
                }
            })
            .await;
        Ok(ExitCode::SUCCESS)
    })
}
