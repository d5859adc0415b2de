//! `keygress ui`: the admin page, in a browser on this machine.

use std::io::Write;
use std::process::ExitCode;

use http::Method;
use tokio::signal::unix::{SignalKind, signal};

use super::control::Socket;
use crate::sandbox;
use crate::ui::{Ending, LINK_TIME, Server};

/// Arguments of `keygress ui`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port on 127.0.0.1; any that is free where it is not named. Name it to reach the page through a tunnel, whose near end must have the same port.
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    #[command(flatten)]
    socket: Socket,
}

/// Prints a link that opens once, and serves the page until the session ends.
///
/// # Errors
/// Where no keygress answers, or the port is taken.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // Whoever reads this process's memory has the session.
    sandbox::undumpable();
    args.socket.tell(Method::GET, "/policy", None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::bind(args.port, args.socket.path().to_owned()).await?;
        let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let minutes = LINK_TIME.as_secs() / 60;
        writeln!(anstream::stderr(), "The admin page. The link opens once, within {minutes} minutes; Ctrl-C ends it all:")?;
        writeln!(anstream::stdout(), "{}", server.link())?;
        let ending = tokio::select! {
            ending = server.serve() => ending,
            _ = interrupted.recv() => return Ok(ExitCode::SUCCESS),
            _ = terminated.recv() => return Ok(ExitCode::SUCCESS),
        };
        writeln!(anstream::stderr(), "The page has ended: {ending}.")?;
        Ok(if ending == Ending::Unopened { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}
