//! `keygress run -- CMD`: a proxy that lives as long as one command; what was issued for it is revoked when it ends.

/// The certificates that the command trusts.
mod bundle;

/// The environment of the command.
mod environment;

/// Variables by which SDKs find stand-ins.
mod comfort;

/// The command in namespaces of its own.
mod confined;

/// What outlives the run where it is killed.
mod ledger;

/// Signals, passed through.
mod signals;

/// What the command did.
mod summary;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, anyhow};
use zeroize::Zeroizing;

use super::serve::{Prepared, Running};
use crate::Policy;
use crate::accept::{self, Accepting, Listen};
use crate::audit::Sink;
use crate::caller::{NewTask, RunningTask};
use crate::config::Settings;
use crate::credentials::Ended;
use crate::state::Place;
use bundle::Bundle;
use confined::{Mode, Ready};
use environment::{Environment, Given};
use signals::{Passing, Signals};
use summary::Tally;

/// How long requests may go on when the command has ended: whoever asked is gone.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

const NAME: Style = AnsiColor::Cyan.on_default().bold();

/// Arguments of `keygress run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file or folder of the policy; may be repeated.
    #[arg(long = "policy", value_name = "PATH", env = "KEYGRESS_POLICY", value_delimiter = ':', default_value = "keygress.yaml")]
    policy: Vec<PathBuf>,
    /// A label of the task, by which a workload of the policy may know it; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Certificates (PEM) that are trusted beside the system's roots; may be repeated.
    #[arg(long = "trust-ca", value_name = "FILE")]
    trust_ca: Vec<PathBuf>,
    /// Hosts that the command reaches without the proxy, and so without credentials and record. By default there are none, not even localhost.
    #[arg(long = "no-proxy", value_name = "HOST", value_delimiter = ',')]
    no_proxy: Vec<String>,
    /// Append the audit to this file; without it, only the summary is kept.
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    #[command(flatten)]
    confinement: confined::Confinement,
    #[command(flatten)]
    ledger: ledger::Kept,
    /// Print neither banner nor summary.
    #[arg(long, short)]
    quiet: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is written `key=value`"),
    }
}

/// The exit code where keygress itself failed, told apart from whatever the command ends with.
const FAILED: u8 = 125;

/// Wraps one command. The exit code is the command's; 128 and the signal's number where a signal ended it; 127 where it was not found, 126
/// where it could not be started, 125 where keygress itself failed.
///
/// # Errors
/// Where there is no runtime, or standard error cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let level = if args.quiet { tracing::Level::ERROR } else { tracing::Level::WARN };
    tracing_subscriber::fmt().compact().without_time().with_target(false).with_max_level(level).with_writer(io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(wrap(args)).or_else(|error| {
        writeln!(anstream::stderr(), "error: {error:#}")?;
        Ok(ExitCode::from(FAILED))
    })
}

async fn wrap(args: &Args) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let begun = Instant::now();
    let (sink, counts) = Counts::open(args.audit.clone());
    let mode = args.confinement.mode().await;
    let prepared = Prepared::new(settings(args, sink, mode))?;
    let prepared = if mode.is_some() { prepared.frozen() } else { prepared };
    let place = args.ledger.place(prepared.policy())?;
    let running = prepared.keeping(place.clone()).start()?;
    let policy = running.shared.live.load();
    let task = NewTask::under(&policy.policy, args.labels.iter().cloned().collect()).map_err(|_| anyhow!("no randomness"))?;
    let id = task.running.task.id.clone();
    let bundle = Bundle::write(&running.ca_pem, &args.trust_ca)?;
    let world = World { args, running: &running, policy: &policy.policy, place: place.as_ref(), bundle: &bundle };
    let Begun { accepting, command, proxy } = match mode {
        None => world.beside(task)?,
        Some(mode) => world.inside(task, mode).await?,
    };
    if !args.quiet {
        banner(&id, &proxy, &bundle, mode)?;
    }
    let status = match command {
        Command::Beside(environment) => Ok(execute(&args.command, &environment, &mut signals).await),
        Command::Inside(ready) => ready.run(&mut signals).await,
    };
    let ended = end(running, accepting, &id).await;
    let status = status?;
    if !args.quiet {
        summarise(&id, counts.tally()?, ended, begun.elapsed())?;
    }
    exit_code(status, &args.command)
}

/// What a command is begun with.
struct World<'w> {
    args: &'w Args,
    running: &'w Running,
    policy: &'w Policy,
    place: Option<&'w Place>,
    bundle: &'w Bundle,
}

/// A command that is about to run, and the listeners of its own.
struct Begun {
    accepting: Accepting,
    command: Command,
    /// Where the proxy is, as the command sees it.
    proxy: SocketAddr,
}

enum Command {
    /// Under our own user, in our own namespaces.
    Beside(Environment),
    /// In namespaces of its own.
    Inside(Box<Ready>),
}

impl World<'_> {
    fn beside(&self, task: NewTask) -> anyhow::Result<Begun> {
        let NewTask { running: task, token, placeholders } = task;
        let shared = &self.running.shared;
        let task = shared.callers.begin(task);
        let accepting = accept::start(shared, &routes(Arc::clone(&task)))?;
        let proxy = *self.running.tcp.first().context("no listener")?;
        let environment = Environment::new(&Given {
            task: &task.task.id,
            proxy_url: &Zeroizing::new(format!("http://task:{}@{proxy}", token.as_str())),
            routes: *accepting.tcp.first().context("no listener")?,
            placeholders: &placeholders,
            bundle: self.bundle,
            policy: self.policy,
            direct: &self.args.no_proxy,
        });
        Ok(Begun { accepting, command: Command::Beside(environment), proxy })
    }

    /// Nobody but the task reaches the listeners inside: no token is needed there, and none is given.
    async fn inside(&self, task: NewTask, mode: Mode) -> anyhow::Result<Begun> {
        let NewTask { running: task, token: _, placeholders } = task;
        let shared = &self.running.shared;
        let task = shared.callers.begin(task.in_namespace());
        let Self { args, policy, bundle, place, .. } = *self;
        let plan = args.confinement.plan(mode, &confined::Given { policy, bundle, place, audit: args.audit.as_deref() })?;
        let proxy = confined::address(&plan);
        let environment = Environment::new(&Given {
            task: &task.task.id,
            proxy_url: &format!("http://{proxy}"),
            routes: proxy,
            placeholders: &placeholders,
            bundle,
            policy,
            direct: &[],
        });
        let begun = confined::prepare(plan, bundle.folder(), (&args.command, &environment), (shared, task)).await;
        let (ready, accepting) = begun?;
        Ok(Begun { accepting, command: Command::Inside(Box::new(ready)), proxy })
    }
}

/// A second listener that needs no token, for clients that cannot send one: it is this task's, and takes only our own user.
fn routes(task: Arc<RunningTask>) -> Listen {
    Listen { tcp: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], workers: 1, task: Some(task), ..Listen::default() }
}

/// A proxy for this one task. The command runs under our own user: that is what makes a plain run cooperative.
fn settings(args: &Args, audit: Sink, confined: Option<Mode>) -> Settings {
    Settings {
        policy: args.policy.clone(),
        // Inside there are listeners of its own.
        tcp: confined.is_none().then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).into_iter().collect(),
        audit,
        upstream_ca: args.trust_ca.clone(),
        require_task: true,
        unsafe_same_uid: true,
        drain_grace: DRAIN_GRACE,
        ..Settings::default()
    }
}

/// Starts the command and waits for it, passing signals through.
async fn execute(command: &[OsString], environment: &Environment, signals: &mut Signals) -> io::Result<ExitStatus> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments);
    environment.apply(&mut command);
    let mut child = command.spawn()?;
    signals.wait(&mut child, &Passing::Directly).await
}

/// Ends the task: its token is refused and its leases are revoked; then the proxy stops.
async fn end(running: Running, routes: Accepting, id: &str) -> Ended {
    let task = running.shared.end_task(id).await;
    // A worker that panicked has closed its connections already.
    let _ = tokio::task::spawn_blocking(|| routes.drain(DRAIN_GRACE)).await;
    let rest = running.stop().await;
    Ended { revoked: task.revoked + rest.revoked, dropped: task.dropped + rest.dropped, failed: task.failed + rest.failed }
}

fn exit_code(status: io::Result<ExitStatus>, command: &[OsString]) -> anyhow::Result<ExitCode> {
    let program = command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    match status {
        Ok(status) => {
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
        }
        Err(error) => {
            writeln!(anstream::stderr(), "{NAME}keygress{NAME:#}: cannot run `{program}`: {error}")?;
            Ok(ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }))
        }
    }
}

fn banner(id: &str, address: &SocketAddr, bundle: &Bundle, confined: Option<Mode>) -> io::Result<()> {
    let mut err = anstream::stderr().lock();
    writeln!(err, "{NAME}keygress{NAME:#}: task {id}, proxy on {address}, environment set for the command")?;
    if confined.is_some() {
        writeln!(err, "  The command is confined: keygress is its only way out, and the policy's secrets are hidden from it.")?;
    } else {
        writeln!(err, "  This run is cooperative: it keeps keys out of the command, and so protects from leaks.")?;
        writeln!(err, "  It does not hold an attacker: what runs under your user can go round the proxy (`--confine` holds it).")?;
    }
    if !bundle.system_roots {
        writeln!(err, "  The system has no root certificates: destinations that pass unopened cannot be verified.")?;
    }
    Ok(())
}

fn summarise(id: &str, tally: Tally, ended: Ended, duration: Duration) -> io::Result<()> {
    writeln!(anstream::stderr(), "{NAME}keygress{NAME:#}: task {id} ended\n{}", tally.describe(ended, duration))
}

/// Where the records go from which the summary is made.
enum Counts {
    /// Counted as they come.
    Memory(std::thread::JoinHandle<Tally>),
    /// Counted at the end, from this byte on.
    File { path: PathBuf, from: u64 },
}

impl Counts {
    fn open(audit: Option<PathBuf>) -> (Sink, Self) {
        if let Some(path) = audit {
            let from = std::fs::metadata(&path).map_or(0, |file| file.len());
            return (Sink::File(path.clone()), Self::File { path, from });
        }
        let (sender, lines) = std::sync::mpsc::channel::<String>();
        let counting = std::thread::spawn(move || {
            let mut tally = Tally::default();
            lines.iter().for_each(|line| tally.count(&line));
            tally
        });
        (Sink::Memory(sender), Self::Memory(counting))
    }

    /// The counts; called when the audit is closed.
    fn tally(self) -> anyhow::Result<Tally> {
        match self {
            Self::Memory(counting) => counting.join().map_err(|_| anyhow!("the summary is lost")),
            Self::File { path, from } => Tally::of_file(&path, from).with_context(|| format!("cannot read `{}`", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_key() {
        assert_eq!(label("kind=ci"), Ok(("kind".into(), "ci".into())));
        assert_eq!(label("kind="), Ok(("kind".into(), String::new())));
        assert!(label("kind").is_err());
        assert!(label("=ci").is_err());
    }

    #[test]
    fn the_exit_code_is_the_commands() {
        let command = [OsString::from("job")];
        assert_eq!(exit_code(Ok(ExitStatus::from_raw(3 << 8)), &command).unwrap(), ExitCode::from(3));
        assert_eq!(exit_code(Ok(ExitStatus::from_raw(15)), &command).unwrap(), ExitCode::from(143));
        assert_eq!(exit_code(Err(io::ErrorKind::NotFound.into()), &command).unwrap(), ExitCode::from(127));
        assert_eq!(exit_code(Err(io::ErrorKind::PermissionDenied.into()), &command).unwrap(), ExitCode::from(126));
    }
}
