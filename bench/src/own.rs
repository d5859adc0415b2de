//! A load on a user's own policy: keygress is started with it, and one URL is asked for through it.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use http::Uri;

use crate::contender::keygress::{Keygress, Launch};
use crate::load::{self, Expected, Pace, Plan, Protocol, Reuse, Until, Way};
use crate::meter::Usage;
use crate::results::{Outcome, Row, Unit, metric};
use crate::scenario::{mebibytes, seen};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Own<'o> {
    /// Files and folders of the policy.
    pub policy: &'o Path,
    /// What is requested.
    pub target: &'o str,
    /// The method.
    pub method: http::Method,
    /// By CONNECT, with TLS inside.
    pub connect: bool,
    /// Connections at once.
    pub connections: usize,
    /// Requests a second; `None`: as fast as they are answered.
    pub per_second: Option<f64>,
    /// At most so many.
    pub requests: Option<u64>,
    /// At most so long.
    pub time: Duration,
    /// The status that a right answer has.
    pub status: http::StatusCode,
    /// Certificates (PEM) that the target may have.
    pub upstream_ca: Option<&'o Path>,
    /// The target need not be on this machine.
    pub unsafe_remote: bool,
}

/// Starts keygress with the policy, loads it, and says what was seen.
///
/// # Errors
/// Where the target is not a URL, or not on this machine; where keygress does not start.
pub fn run(own: &Own<'_>, keygress: &Keygress) -> anyhow::Result<Outcome> {
    let uri: Uri = own.target.parse().with_context(|| format!("`{}` is not a URL", own.target))?;
    let authority = target(&uri)?;
    if !own.unsafe_remote {
        loopback(&authority).with_context(|| format!("`{}` is not loaded", own.target))?;
    }
    let folder = tempfile::Builder::new().prefix("keygress-bench-").tempdir()?;
    let upstream_ca =
        own.upstream_ca.map(|file| std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display())));
    let upstream_ca = upstream_ca.transpose()?;
    let launched = keygress.launch(&Launch {
        folder: folder.path(),
        policy: own.policy,
        upstream_ca: upstream_ca.as_deref(),
        core: None,
        workers: std::thread::available_parallelism().map_or(1, usize::from).min(8),
    })?;
    let entry = &launched.running.entry;
    let plan = Plan {
        address: entry.address,
        way: if own.connect { Way::Connect } else { Way::Absolute },
        is_secure: uri.scheme_str() == Some("https"),
        authority,
        trust_pem: entry.trust_pem.clone(),
        protocol: Protocol::Http1,
        method: own.method.clone(),
        path: load::Path::One(uri.path_and_query().map_or("/", |path| path.as_str()).to_owned()),
        headers: http::HeaderMap::new(),
        request_bytes: 0,
        connections: own.connections,
        streams: 1,
        reuse: Reuse::KeepAlive,
        pace: own.per_second.map_or(Pace::Closed, Pace::Constant),
        until: Until { requests: own.requests, time: own.time },
        warm_up: 1,
        patience: PATIENCE,
        expected: Expected { status: own.status, ..Expected::default() },
        threads: 1,
    };
    let pid = launched.running.pid();
    let (mut before, mut after) = (Usage::default(), Usage::default());
    let mut at_start = || Ok(before = Usage::of(pid)?);
    let measured = load::run_between(&plan, &mut at_start, &mut || Ok(after = Usage::of(pid)?))?;
    let mut run = seen(&measured);
    if measured.right > 0 {
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6;
        run.figure(metric::CPU_PER_REQUEST, Unit::Microseconds, cpu / measured.right as f64);
    }
    run.figure(metric::PEAK_RSS, Unit::Mebibytes, mebibytes(after.peak_rss_bytes));
    if measured.unsent > 0 {
        run.errors.insert("not sent in time".to_owned(), measured.unsent);
    }
    Ok(Outcome {
        scenario: "policy".to_owned(),
        title: format!("{} {} through {}", own.method, own.target, own.policy.display()),
        conditions: vec![format!("{} connections, {}", own.connections, pace(own))],
        rows: vec![Row { contender: "keygress".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), runs: vec![run] }],
        bars: Vec::new(),
        notes: Vec::new(),
    })
}

fn pace(own: &Own<'_>) -> String {
    match own.per_second {
        Some(per_second) => format!("{per_second} requests a second for {:?}", own.time),
        None => format!("closed loop for {:?}", own.time),
    }
}

/// Host and port.
fn target(uri: &Uri) -> anyhow::Result<String> {
    let port = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => bail!("the target is a URL with `https://` or `http://`"),
    };
    let authority = uri.authority().context("the target names no host")?;
    ensure!(!authority.as_str().contains('@'), "a target has no user in it");
    Ok(if authority.port().is_some() { authority.to_string() } else { format!("{authority}:{port}") })
}

/// A load is for what is one's own: this machine, unless somebody says otherwise.
fn loopback(authority: &str) -> anyhow::Result<()> {
    let addresses: Vec<IpAddr> = authority.to_socket_addrs().context("its name does not resolve")?.map(|address| address.ip()).collect();
    if !addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback) {
        return Ok(());
    }
    bail!("it is not on this machine; where it is yours to load, say `--unsafe-remote-target`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded_unless_said_otherwise() {
        loopback("127.0.0.1:1").unwrap();
        loopback("localhost:1").unwrap();
        for elsewhere in ["192.0.2.1:443", "[2001:db8::1]:80"] {
            assert!(loopback(elsewhere).unwrap_err().to_string().contains("--unsafe-remote-target"), "{elsewhere}");
        }
    }

    #[test]
    fn a_target_is_a_url_of_a_host() {
        let of = |text: &str| target(&text.parse().unwrap()).ok();
        assert_eq!(of("https://localhost/x").as_deref(), Some("localhost:443"));
        assert_eq!(of("http://[::1]:8080/x").as_deref(), Some("[::1]:8080"));
        assert_eq!((of("/x"), of("ftp://localhost/"), of("https://user@localhost/")), (None, None, None));
    }
}
