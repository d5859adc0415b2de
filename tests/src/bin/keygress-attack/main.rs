//! `keygress-attack`: the attacks of this repository against a proxy of your own, by every way in that it has.
#![expect(clippy::print_stdout, reason = "it speaks to a terminal")]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use keygress_policy::destination::parse_authority;
use keygress_tests::attack::case::Expect;
use keygress_tests::attack::cases;
use keygress_tests::attack::way::{Request, Way};
use keygress_tests::attack::wire::Target;

/// Tries what a hostile workload would write against a proxy, and says what came to something else than it must.
///
/// The policy must allow `GET /hello`, and the upstream must answer it with 2xx; `POST /mirror` too. Attack what is yours.
#[derive(Debug, Parser)]
#[command(name = "keygress-attack")]
struct Arguments {
    /// The TCP listener of the proxy.
    #[arg(long, value_name = "ADDRESS")]
    proxy: SocketAddr,
    /// The upstream that its policy allows: `host` or `host:port`.
    #[arg(long, value_name = "AUTHORITY")]
    upstream: String,
    /// The CA of the proxy, PEM.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The Unix socket of the proxy.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// An address whose connections are captured here and brought to the proxy: what the upstream's name resolves to, say.
    #[arg(long, value_name = "IP")]
    captured: Option<IpAddr>,
    /// The route of the upstream. Default: its host.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// The token of a task.
    #[arg(long, value_name = "TOKEN", env = "KEYGRESS_TASK_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Attack a proxy that is not on this host.
    #[arg(long)]
    unsafe_elsewhere: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            println!("error: {why:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether there is this way into the proxy.
fn is_there(way: Way, target: &Target) -> bool {
    match way {
        Way::Absolute | Way::ConnectH1 | Way::ConnectH2 | Way::Route => true,
        Way::Unix => target.socket.is_some(),
        Way::CapturedH1 | Way::CapturedH2 => target.captured.is_some(),
    }
}

/// Tries everything; how many attacks came to something else.
fn run(arguments: Arguments) -> Result<usize> {
    ensure!(
        arguments.proxy.ip().is_loopback() || arguments.unsafe_elsewhere,
        "`{}` is not on this host; where it is yours all the same, say `--unsafe-elsewhere`",
        arguments.proxy
    );
    let (host, port) = parse_authority(&arguments.upstream).map_err(anyhow::Error::msg)?;
    let host = host.to_string();
    let target = Target {
        listener: arguments.proxy,
        ca_pem: std::fs::read_to_string(&arguments.ca).with_context(|| arguments.ca.display().to_string())?,
        socket: arguments.socket,
        captured: arguments.captured,
        token: arguments.token,
        route: arguments.route.unwrap_or_else(|| host.clone()),
        host,
        port: port.unwrap_or(443),
    };
    let ways: Vec<Way> = Way::ALL.into_iter().filter(|way| is_there(*way, &target)).collect();
    for way in &ways {
        let answer = target.ask(*way, &Request::get("/hello"))?;
        ensure!(
            (200..300).contains(&answer.status),
            "`GET /hello` by {way} must be allowed, and came to {} {}",
            answer.status,
            answer.code
        );
    }
    let (mut tried, mut wrong) = (0_usize, 0_usize);
    for (class, cases) in cases::all() {
        // What a policy excepts is its own affair.
        for case in cases.iter().filter(|case| !case.name.starts_with("path-excepted")) {
            for way in ways.iter().filter(|way| case.expected(**way) != Expect::Unwritable) {
                tried = tried.saturating_add(1);
                if let Err(why) = case.attempt(&target, *way).and_then(|answer| case.judge(*way, &answer)) {
                    wrong = wrong.saturating_add(1);
                    println!("{class}: {}\n  {why:#}", case.attack);
                }
            }
        }
    }
    println!("{tried} attacks by {} ways in: {wrong} came to something else than they must", ways.len());
    Ok(wrong)
}
