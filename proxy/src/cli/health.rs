//! `keygress health`: whether a `serve` on this machine is ready; for probes where there is no shell and no curl.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

/// The longest wait for the answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Arguments of `keygress health`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The address that `serve` has for health and metrics.
    #[arg(long, value_name = "ADDRESS", env = "KEYGRESS_METRICS")]
    metrics: Option<SocketAddr>,
    /// The admin socket of `serve`.
    #[arg(long, value_name = "PATH", env = "KEYGRESS_ADMIN_SOCKET")]
    admin_socket: Option<PathBuf>,
    /// Ask whether it lives, not whether it is ready.
    #[arg(long)]
    live: bool,
}

/// Asks, and exits with 0 where the answer is yes.
///
/// # Errors
/// Where nobody answers, or nothing says whom to ask.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = if args.live { "/healthz" } else { "/readyz" };
    let answer = match (&args.admin_socket, args.metrics) {
        (Some(socket), _) => {
            ask(UnixStream::connect(socket).and_then(|stream| stream.set_read_timeout(Some(PATIENCE)).map(|()| stream)), path)
        }
        (None, Some(address)) => ask(
            TcpStream::connect_timeout(&address, PATIENCE).and_then(|stream| stream.set_read_timeout(Some(PATIENCE)).map(|()| stream)),
            path,
        ),
        (None, None) => bail!("nothing says whom to ask: give `--metrics ADDRESS` or `--admin-socket PATH`, as to `serve`"),
    };
    let answer = answer.context("no answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) == Some("200") {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(anstream::stderr(), "{}", body.trim_end())?;
    Ok(ExitCode::FAILURE)
}

fn ask(stream: io::Result<impl Read + Write>, path: &str) -> io::Result<String> {
    let mut stream = stream?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
