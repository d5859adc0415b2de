//! `keygress run --confine`: the command in namespaces of its own, where keygress is the only way out.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::ValueEnum;

use super::bundle::Bundle;
use super::environment::Environment;
use super::signals::{Passing, Signals};
use crate::Policy;
use crate::accept::{self, Accepting, Opened, Shared};
use crate::caller::RunningTask;
use crate::confine::{Confined, Hidden, Opening, Plan, Unstarted, answer_names, probe};
use crate::state::Place;

/// Where the proxy listens inside, if no destination of the policy has this port: then on the next one that is free.
const PROXY_PORT: u16 = 8787;

/// How many different ports a policy may have: so many listeners fit into one message.
const PORTS_MAX: usize = 250;

/// Arguments about confinement.
#[derive(Debug, clap::Args)]
pub(super) struct Confinement {
    /// Run the command in namespaces of its own (user, network, mounts, processes), with Landlock and seccomp: keygress is its only way out, and
    /// the policy's secrets are hidden from it. Needs no root. `best-effort` goes on with what this kernel has.
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "require", conflicts_with = "no_proxy")]
    confine: Option<Mode>,
    /// Hide this file or folder from the command too; may be repeated.
    #[arg(long, value_name = "PATH", requires = "confine")]
    hide: Vec<PathBuf>,
    /// Let the command open Unix sockets: those of the host that its user may open are a way out.
    #[arg(long, requires = "confine")]
    unsafe_unix_sockets: bool,
}

/// What happens where something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// The command does not run.
    Require,
    /// It runs all the same, and what is missing is said.
    BestEffort,
}

impl Confinement {
    /// Whether the command is to be confined; where this kernel makes no namespaces, and that was to be borne, it is not.
    ///
    /// # Errors
    /// None are needed that are not told later, with what is missing.
    pub(super) async fn mode(&self) -> Option<Mode> {
        if self.confine == Some(Mode::BestEffort)
            && let Err(why) = probe().await
        {
            tracing::warn!("the command is not confined: {why}");
            return None;
        }
        self.confine
    }

    /// What is done inside.
    ///
    /// # Errors
    /// Where a secret cannot be hidden; where the policy has too many ports.
    pub(super) fn plan(&self, mode: Mode, given: &Given<'_>) -> anyhow::Result<Plan> {
        let ports = given.policy.rules().iter().map(|rule| rule.port);
        let captured: BTreeSet<u16> = ports.chain([80, 443]).collect();
        if captured.len() > PORTS_MAX {
            return Err(anyhow!("the policy has {} different ports, and at most {PORTS_MAX} can be captured", captured.len()));
        }
        let proxy_port = (PROXY_PORT..u16::MAX).find(|port| !captured.contains(port)).context("no port is free inside")?;
        let ground = given.bundle.folder().join("ground");
        std::fs::create_dir(&ground)?;
        let mut plan = Plan {
            proxy_port,
            captured_ports: captured.into_iter().collect(),
            trust: Some((given.bundle.files.all.clone(), given.bundle.files.java.clone())),
            ground,
            best_effort: mode == Mode::BestEffort,
            unsafe_unix_sockets: self.unsafe_unix_sockets,
            ..Plan::default()
        };
        self.hidden(given)?.plan(&mut plan).map_err(|why| anyhow!("{why}; or say `--confine=best-effort`"))?;
        Ok(plan)
    }

    /// The files of the policy's providers, the ledger with its key, the audit, and what was named.
    fn hidden(&self, given: &Given<'_>) -> io::Result<Hidden> {
        let here = std::env::current_dir()?;
        let mut hidden = Hidden::default();
        for credential in given.policy.credentials() {
            let source = &credential.source;
            source.reads().into_iter().chain(source.writes()).for_each(|path| hidden.secret(path, &here));
        }
        if let Some(place) = given.place {
            hidden.folder(&place.folder);
            hidden.secret(&place.key, &here);
        }
        given.audit.iter().for_each(|path| hidden.file(path));
        for path in &self.hide {
            match path.is_dir() {
                true => hidden.folder(path),
                false => hidden.named(path, &here),
            }
        }
        Ok(hidden)
    }
}

/// What a plan is made from.
pub(super) struct Given<'g> {
    pub(super) policy: &'g Policy,
    pub(super) bundle: &'g Bundle,
    pub(super) place: Option<&'g Place>,
    pub(super) audit: Option<&'g Path>,
}

/// Where the proxy is inside.
pub(super) fn address(plan: &Plan) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, plan.proxy_port))
}

/// A command whose namespaces are there, with the proxy in them.
pub(super) struct Ready {
    opening: Opening,
    names: tokio::task::JoinHandle<()>,
}

/// Makes the namespaces, and serves in them.
///
/// # Errors
/// What is missing, and what to do.
pub(super) async fn prepare(
    plan: Plan,
    folder: &Path,
    (command, environment): (&[OsString], &Environment),
    (shared, task): (&Arc<Shared>, Arc<RunningTask>),
) -> anyhow::Result<(Ready, Accepting)> {
    let entered = Opening::enter(folder, plan, command, |entry| environment.apply(entry)).await;
    let (opening, listeners) = entered.map_err(refused)?;
    let names = answer_names(listeners.names)?;
    let accepting = accept::begin(shared, Opened::inside(listeners.proxy, listeners.captured)?, Some(task))?;
    Ok((Ready { opening, names }, accepting))
}

fn refused(why: String) -> anyhow::Error {
    anyhow!("the command cannot be confined: {why}\nhelp: `--confine=best-effort` runs it with what there is")
}

impl Ready {
    /// Runs the command to its end, and passes signals on.
    ///
    /// # Errors
    /// Where it cannot be confined. Within, where the system does not start it.
    pub(super) async fn run(self, signals: &mut Signals) -> anyhow::Result<io::Result<ExitStatus>> {
        let started = self.opening.start().await;
        let Confined { mut entry, signals: stream, missing } = match started {
            Ok(confined) => confined,
            Err(Unstarted::NotStarted(error)) => return Ok(Err(error)),
            Err(Unstarted::Refused(why)) => return Err(refused(why)),
        };
        missing.iter().for_each(|what| tracing::warn!("the command is confined in part: {what}"));
        let status = signals.wait(&mut entry, &Passing::Inside(stream)).await;
        self.names.abort();
        // What ended the command was told as a code; only what ended our own process beside it is a signal.
        Ok(status.map(|status| status.signal().map_or(status, |signal| ExitStatus::from_raw((128 + signal) << 8))))
    }
}
