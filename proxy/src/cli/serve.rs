//! `keygress serve`: the proxy. [`serve::start`] is also what `run`, `demo` and the tests stand on.

/// What is read and opened before the sandbox closes.
mod prepared;

/// How the audit is kept.
mod recording;

/// Who looks for abnormal reuse.
mod watching;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use keygress_policy::compile::HostPattern;
use keygress_policy::workload::Pod;
use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::Policy;
use crate::accept::authority::Authority;
use crate::accept::{self, Accepting, Inherited};
use crate::admin::{self, Admin, Tasks};
use crate::audit::{Audit, Event, Kind};
use crate::caller::kubernetes::Verifier;
use crate::caller::{Callers, Proofs};
use crate::config::{self, Flags, Kubernetes, Settings};
use crate::credentials::{Credentials, Ended, Fingerprints, Kept, Tools, may_end};
use crate::descriptors;
use crate::exchange::Shared;
use crate::forward::Connector;
use crate::forward::broker::{Broker, Brokers};
use crate::identity::Identity;
use crate::known::Known;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::reload::{self, Live, Progress, Reloader, Sources};
use crate::runtimes::{Files, write_whole};
use crate::sandbox::{self, State};
use crate::state::{Found, Key, Ledger, Place, Stopped};
use crate::stops::Stops;
use crate::stream;
use crate::telemetry::Telemetry;
use prepared::Bounds;
use recording::recording;
use watching::watching;

pub use prepared::{Prepared, untouched};

/// How often is looked whether the first credentials are there.
const ADOPTED_POLL: Duration = Duration::from_millis(2);

/// How long the last alerts may take to be told, and what a collector has still to hear.
const ALERTS_TIME: Duration = Duration::from_secs(3);

/// Arguments of `keygress serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// Serves until SIGTERM or SIGINT; SIGHUP loads the policy again.
///
/// # Errors
/// Where the process cannot be started as it was told.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let settings = args.flags.settings()?;
    // Colours are for people; elsewhere their codes would stand between a field and its value.
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().compact().with_target(false).with_ansi(colours).with_writer(io::stderr).init();
    sandbox::undumpable();
    descriptors::raise();
    let unix = settings.unix.clone();
    // Before there is a second thread: what is given up here is given up by all.
    let prepared = Prepared::with(settings, Inherited::take()?)?.trusted()?.confined()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let running = prepared.start()?;
        banner(&running, &unix)?;
        running.until_adopted().await;
        tell(&[NotifyState::Ready]);
        signals.until_asked_to_stop(&running.reloader).await;
        tell(&[NotifyState::Stopping]);
        let ended = running.stop().await;
        tracing::info!(revoked = ended.revoked, dropped = ended.dropped, failed = ended.failed, "stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// Tells the service manager, where there is one that wants to hear (sd_notify(3)).
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

fn banner(running: &Running, unix: &[PathBuf]) -> io::Result<()> {
    let tcp = running.tcp.iter().map(ToString::to_string);
    let listening: Vec<_> = tcp.chain(unix.iter().map(|path| path.display().to_string())).collect();
    let policy = &running.shared.live.load().policy;
    let (rules, credentials) = (policy.rules().len(), policy.credentials().len());
    let mutual = running.mutual.iter().map(|address| format!("{address} (mutual TLS)"));
    let listening: Vec<_> = listening.into_iter().chain(mutual).collect();
    let captured = running.captured.iter().map(|address| format!(", captures on {address}")).collect::<String>();
    let metrics = running.metrics.map(|address| format!(", metrics on {address}")).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let listening = listening.join(", ");
    writeln!(anstream::stderr(), "keygress {version} listens on {listening}{captured}{metrics}: {rules} rules, {credentials} credentials")
}

/// The signals that `serve` answers. From [`Signals::listen`] on they no longer end the process by themselves.
struct Signals {
    terminated: unix::Signal,
    interrupted: unix::Signal,
    hung_up: unix::Signal,
}

impl Signals {
    /// Takes the signals over. Called before there is anything that would have to be revoked.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminated: unix::signal(SignalKind::terminate())?,
            interrupted: unix::signal(SignalKind::interrupt())?,
            hung_up: unix::signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT; SIGHUP loads the policy again meanwhile.
    async fn until_asked_to_stop(&mut self, reloader: &Reloader) {
        loop {
            tokio::select! {
                _ = self.terminated.recv() => return,
                _ = self.interrupted.recv() => return,
                _ = self.hung_up.recv() => {
                    tell(&NotifyState::monotonic_usec_now().map(|now| vec![NotifyState::Reloading, now]).unwrap_or_default());
                    // The outcome is logged, counted and on record.
                    drop(reloader.reload().await);
                    tell(&[NotifyState::Ready]);
                }
            }
        }
    }
}

/// A proxy that runs. End it with [`Running::stop`].
pub struct Running {
    /// The bound TCP addresses for callers, in the order asked for.
    pub tcp: Vec<SocketAddr>,
    /// The bound TCP addresses for captured connections: those of `REDIRECT`, then those of `TPROXY`.
    pub captured: Vec<SocketAddr>,
    /// The bound TCP addresses for peers over mutual TLS.
    pub mutual: Vec<SocketAddr>,
    /// The bound TCP address of health and metrics.
    pub metrics: Option<SocketAddr>,
    /// What the connections share.
    pub shared: Arc<Shared>,
    /// The certificate of the local CA.
    pub ca_pem: String,
    /// Replaces the policy.
    pub reloader: Arc<Reloader>,
    accepting: Accepting,
    adopting: JoinHandle<()>,
    adopted: Arc<AtomicBool>,
    admin: admin::Server,
    answering: Option<JoinHandle<()>>,
    telling: Vec<JoinHandle<()>>,
    drain_grace: Duration,
}

/// Starts a proxy: policy, listeners, audit, CA, credentials, in this order. What it opened is closed again where a later step fails.
///
/// # Errors
/// Every problem of the policy; a listener, audit or file that cannot be opened.
pub async fn start(settings: Settings) -> anyhow::Result<Running> {
    Prepared::new(settings)?.start()
}

impl Prepared {
    /// Serves from now on. Called within a runtime.
    ///
    /// # Errors
    /// An audit, socket or file that cannot be opened.
    pub fn start(self) -> anyhow::Result<Running> {
        let Self { settings, files, policy, opened, metrics: metrics_listener, bounds, measures } = self;
        // In the sandbox already: what may be marked now may be marked later.
        if let Some(mark) = settings.mark {
            stream::mark_dialled(mark).context("cannot mark what is dialled")?;
        }
        let roots = Arc::new(config::roots(&settings.upstream_ca)?);
        let authority = Arc::new(authority(&settings, &policy)?);
        let metrics = Metrics::new();
        measures.iter().for_each(|measure| metrics.sandbox(measure.name, measure.state == State::Enforced));
        let (ledger, found) = kept(settings.state.as_ref(), &policy)?;
        let stops = found.stops.iter().map(Stopped::order).collect::<Result<Vec<_>, _>>().map_err(|why| anyhow!("the ledger: {why}"))?;
        let telemetry = settings.otlp.as_ref().map(|otlp| Telemetry::start(otlp, &roots, &metrics)).transpose();
        let Telemetry { traces, logs, telling } = telemetry.map_err(|why| anyhow!(why))?.unwrap_or_default();
        let audit = Audit::open(recording(&settings, logs)?, metrics.clone())?;
        if let Some(repaired) = found.repaired {
            tracing::warn!("{repaired}");
            audit.record(Event { message: Some(repaired.into()), ..Event::new(Kind::Recovered) });
        }
        let fingerprints = settings.state.as_ref().map_or_else(|| Ok(Fingerprints::fresh()), Fingerprints::kept);
        let known = Arc::new(if settings.detect.is_some() { Known::default() } else { Known::off() });
        let fingerprints = fingerprints.map_err(|why| anyhow!(why))?;
        let kept = Kept { ledger: ledger.clone(), fingerprints, known: Arc::clone(&known) };
        let tools = Tools::new(Arc::clone(&roots)).starting(bounds.programs.clone());
        let shared = Arc::new(Shared {
            live: Arc::new(Live::new(policy)),
            callers: Callers::knowing(proofs(&settings)?, Arc::clone(&known)),
            known,
            credentials: Credentials::with(Handle::current(), (audit.clone(), kept), metrics.clone(), tools),
            stops: Stops::new(stops),
            ledger,
            limits: Limits::default(),
            connector: Connector::new(Arc::clone(&roots), settings.pins.clone()).with_brokers(brokers(&settings)?),
            audit,
            metrics,
            traces,
            authority,
        });
        shared.credentials.sweep(found.leases, &shared.live.load().policy);
        let sources = Sources { paths: settings.policy.clone(), files, ceiling: ceiling(Arc::clone(&shared.authority), bounds) };
        let reloader = Arc::new(Reloader::start(sources, Arc::clone(&shared.live), shared.audit.clone(), shared.metrics.clone())?);
        let (recent, watching) = watching(&settings, &shared, &roots)?;
        let (watch, answering) = watching.map(|watching| (watching.watch, watching.answering)).unzip();
        let adopted = Arc::new(AtomicBool::new(false));
        let adopting = tokio::spawn(adopt(Arc::clone(&shared), reloader.progress(), Arc::clone(&adopted)));
        let tasks = Tasks::new(Arc::clone(&shared), opened.tcp().first().copied());
        let (for_admin, reloading) = (Arc::clone(&shared), Arc::clone(&reloader));
        let mut admin = admin::Server::new(Admin::new(for_admin, reloading, Arc::clone(&adopted), (tasks, watch, recent)));
        if let Some(path) = &settings.admin_socket {
            admin.open_socket(path).context("cannot open the admin socket")?;
        }
        let metrics = metrics_listener.map(|listener| admin.open_tcp(listener)).transpose()?;
        let accepting = accept::begin(&shared, opened, None).context("cannot serve callers")?;
        Ok(Running {
            tcp: accepting.tcp.clone(),
            captured: accepting.captured.clone(),
            mutual: accepting.mutual.clone(),
            metrics,
            ca_pem: shared.authority.pem().to_owned(),
            reloader,
            shared,
            accepting,
            adopting,
            adopted,
            admin,
            answering,
            telling,
            drain_grace: settings.drain_grace,
        })
    }
}

impl Running {
    /// Waits until the credentials of the policy were asked for.
    async fn until_adopted(&self) {
        while !self.adopted.load(Ordering::Acquire) {
            tokio::time::sleep(ADOPTED_POLL).await;
        }
    }

    /// Stops: no new connections, running requests within the grace, every lease revoked, the audit closed.
    pub async fn stop(self) -> Ended {
        let Self { shared, reloader, accepting, adopting, admin, answering, telling, drain_grace, .. } = self;
        blocking(move || accepting.drain(drain_grace)).await;
        adopting.abort();
        let ended = shared.credentials.shut_down().await;
        if let Some(ledger) = shared.ledger.clone() {
            blocking(move || ledger.close()).await;
        }
        drop(admin);
        blocking(move || drop(reloader)).await;
        if let Some(traces) = &shared.traces {
            traces.close();
        }
        blocking(move || shared.audit.close()).await;
        // The last record was written, and the last request has ended.
        let told = async {
            for telling in telling {
                drop(telling.await)
            }
        };
        drop(tokio::time::timeout(ALERTS_TIME, told).await);
        if let Some(answering) = answering {
            // The last alert was raised when the audit closed.
            drop(tokio::time::timeout(ALERTS_TIME, answering).await);
        }
        ended
    }
}

/// Opens the state folder, where there is one.
fn kept(place: Option<&Place>, policy: &Policy) -> anyhow::Result<(Option<Ledger>, Found)> {
    let Some(place) = place else { return Ok((None, Found::default())) };
    let key = Key::read(&place.key).map_err(|why| anyhow!(why))?;
    let (ledger, found) = Ledger::open(place, key, &|issued| may_end(issued, policy)).map_err(|why| anyhow!(why))?;
    Ok((Some(ledger), found))
}

/// Runs what blocks where it may.
async fn blocking(work: impl FnOnce() + Send + 'static) {
    if tokio::task::spawn_blocking(work).await.is_err() {
        tracing::error!("a step of stopping panicked");
    }
}

/// The CA, its ceiling, and its certificate where callers find it.
fn authority(settings: &Settings, policy: &Policy) -> anyhow::Result<Authority> {
    let permit = match &settings.ca_permit {
        permit if permit.is_empty() => Authority::ceiling_of(&policy.intercepted_hosts()),
        permit => permit.clone(),
    };
    let authority = Authority::new(&permit)?;
    ceiling_of(&authority, policy).map_err(|why| anyhow!(why))?;
    if let Some(path) = &settings.ca_file {
        write_whole(path, authority.pem().as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if let Some(folder) = &settings.ca_folder {
        let written = Files::of(folder).write(authority.pem(), &settings.upstream_ca);
        written.with_context(|| format!("cannot write what callers trust to `{}`", folder.display()))?;
    }
    Ok(authority)
}

/// The last word on a policy that compiles: what the CA may sign, and what the process has left itself.
fn ceiling(authority: Arc<Authority>, bounds: Bounds) -> reload::Ceiling {
    Box::new(move |policy| ceiling_of(&authority, policy).and_then(|()| bounds.hold(policy)))
}

fn ceiling_of(authority: &Authority, policy: &Policy) -> Result<(), String> {
    match policy.intercepted_hosts().into_iter().find(|host| !authority.permits(host)) {
        None => Ok(()),
        Some(host) => {
            let host = match host {
                HostPattern::Exact(host) => host.to_string(),
                HostPattern::Under(suffix) => format!("*.{suffix}"),
            };
            Err(format!("`{host}` is outside what the CA of this process may sign; permit it (`ca: permit:`) and start again"))
        }
    }
}

fn brokers(settings: &Settings) -> anyhow::Result<Brokers> {
    let made = settings.brokers.iter().map(|config::Broker { name, host, port, spiffe_id, files }| {
        let identity = Identity::read(files.clone()).map_err(|why| anyhow!("broker `{name}`: {why}"))?;
        let name: Arc<str> = name.as_str().into();
        let (host, spiffe_id) = (host.clone(), spiffe_id.clone());
        Ok((Arc::clone(&name), Broker { name, host, port: *port, spiffe_id, identity: Arc::new(identity) }))
    });
    made.collect()
}

fn proofs(settings: &Settings) -> anyhow::Result<Proofs> {
    let pod = settings.kubernetes.as_ref().map(pod).transpose().context("the pod is not proven")?;
    Ok(Proofs { unsafe_same_uid: settings.unsafe_same_uid, pod, require_task: settings.require_task })
}

/// Whose pod this is, by its own token.
fn pod(kubernetes: &Kubernetes) -> anyhow::Result<Pod> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()));
    let verifier = Verifier::new(&read(&kubernetes.jwks)?, &kubernetes.issuer, &kubernetes.audience).map_err(|why| anyhow!(why))?;
    let token = Zeroizing::new(read(&kubernetes.token)?);
    verifier.verify(&token, SystemTime::now()).map_err(|why| anyhow!(why))
}

/// Hands every policy that comes into force to the credentials, in order; of several in a row the last. What leaves the policy is ended at
/// once, also while a provider of the policy before keeps us waiting.
async fn adopt(shared: Arc<Shared>, mut progress: watch::Receiver<Progress>, adopted: Arc<AtomicBool>) {
    loop {
        let snapshot = shared.live.load();
        shared.stops.review();
        let mut adopting = pin!(shared.credentials.adopt(&snapshot.policy));
        let mut is_done = false;
        while shared.live.load().generation == snapshot.generation {
            tokio::select! {
                biased;
                () = &mut adopting, if !is_done => {
                    is_done = true;
                    adopted.store(true, Ordering::Release);
                }
                changed = progress.changed() => if changed.is_err() { return },
            }
        }
    }
}
