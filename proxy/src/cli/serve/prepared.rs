use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use keygress_policy::Rule;
use keygress_policy::problem::{self, Colour, SourceFile};

use crate::Policy;
use crate::accept::transparent::Capture;
use crate::accept::{self, Inherited, Listen, Opened};
use crate::audit::{Also, Sink};
use crate::caller::bearer::{Issuer, Issuers};
use crate::caller::keys;
use crate::caller::peer::Peers;
use crate::config::{self, KeySet, Mutual, Settings, TokenIssuer};
use crate::credentials::{Programs, Site};
use crate::identity::{Files, Identity};
use crate::reload;
use crate::sandbox::{self, Declared, Measure, Mode, State, memory, trust};
use crate::state::{Place, private_folder};

/// A proxy that is read and open, and does not run yet. What comes after needs neither another listener nor another folder.
pub struct Prepared {
    pub(super) settings: Settings,
    pub(super) files: Vec<SourceFile>,
    pub(super) policy: Policy,
    pub(super) opened: Opened,
    pub(super) metrics: Option<TcpListener>,
    pub(super) bounds: Bounds,
    pub(super) measures: Vec<Measure>,
}

impl Prepared {
    /// Reads and compiles the policy, and opens the listeners.
    ///
    /// # Errors
    /// Every problem of the policy; a listener that cannot be opened.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        Self::with(settings, Inherited::default())
    }

    /// The same, with these listeners beside those of the settings.
    ///
    /// # Errors
    /// As [`Prepared::new`]; one of them on an address that is not loopback.
    pub fn with(settings: Settings, mut inherited: Inherited) -> anyhow::Result<Self> {
        let wide = inherited.addresses().into_iter().find(|address| !address.ip().is_loopback() && !settings.unsafe_listen);
        if let Some(address) = wide {
            bail!("the inherited listener `{address}` is not on loopback: whoever reaches it would be a caller; or say `--unsafe-listen`");
        }
        memory::install();
        if let Some(place) = &settings.state {
            private_folder(&place.folder).map_err(|why| anyhow!(why))?;
        }
        let files = reload::read(&settings.policy)?;
        let policy = compile(&files)?;
        let bounds = Bounds { brokers: settings.brokers.iter().map(|broker| broker.name.clone()).collect(), ..Bounds::default() };
        bounds.hold(&policy).map_err(|why| anyhow!(why))?;
        let redirected = settings.transparent.iter().map(|address| (*address, Capture::Redirect));
        let captured = redirected.chain(settings.tproxy.iter().map(|address| (*address, Capture::Tproxy))).collect();
        let (tcp, unix) = (settings.tcp.clone(), settings.unix.clone());
        let peers = settings.mutual.as_ref().map(|mutual| peers(mutual, &settings.upstream_ca).map(Arc::new)).transpose()?;
        let mutual = settings.mutual.iter().flat_map(|mutual| mutual.addresses.clone()).collect();
        let (workers, overload_delay) = (settings.workers, settings.overload_delay);
        let listen = Listen { tcp, captured, mutual, peers, unix, workers, overload_delay, task: None };
        let mut opened = accept::open(&listen).context("cannot listen for callers")?;
        let metrics = match (inherited.metrics.take(), settings.metrics) {
            (Some(inherited), _) => Some(inherited),
            (None, Some(address)) => Some(TcpListener::bind(address).with_context(|| format!("cannot listen on `{address}`"))?),
            (None, None) => None,
        };
        opened.join(inherited).context("cannot take the listeners over")?;
        Ok(Self { settings, files, policy, opened, metrics, bounds, measures: Vec::new() })
    }

    /// The policy that it begins with.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Keeps the policy for its whole life: whoever is confined could write another one.
    #[must_use]
    pub fn frozen(mut self) -> Self {
        self.bounds.frozen = true;
        self
    }

    /// Keeps in this place what outlives the process.
    #[must_use]
    pub fn keeping(mut self, place: Option<Place>) -> Self {
        self.settings.state = place;
        self
    }

    /// Refuses what a workload could change: the binary, the policy, what it names, where the CA is written.
    ///
    /// # Errors
    /// Names the path, who may write it, and the remedy.
    pub fn trusted(mut self) -> anyhow::Result<Self> {
        if !self.settings.unsafe_writable_files {
            untouched(&self.settings, &self.policy).map_err(|why| anyhow!(why))?;
            self.bounds.trusted = true;
        }
        Ok(self)
    }

    /// How far each measure of the sandbox holds; none where it was not entered.
    #[must_use]
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// Enters the sandbox: from here on only the declared folders, the programs of this policy and the listeners that are open.
    ///
    /// # Errors
    /// Where the sandbox is required and something of it is not to be had; where no process can be forked.
    pub fn confined(mut self) -> anyhow::Result<Self> {
        let mode = self.settings.sandbox;
        if mode == Mode::UnsafeOff {
            tracing::warn!("the sandbox is off: whoever breaks into this process has all that its user has");
            return Ok(self);
        }
        let declared = declared(&self.settings, &self.policy);
        let commands = self.policy.credentials().iter().flat_map(|credential| credential.source.programs());
        let programs = Programs::forked(commands.map(<[String]>::to_vec).collect()).context("cannot fork what starts programs")?;
        let measures = sandbox::enter(mode, &declared).map_err(|why| anyhow!(why))?;
        for Measure { name, detail, .. } in measures.iter().filter(|measure| measure.state != State::Enforced) {
            tracing::warn!(measure = name, why = detail, "the sandbox is incomplete");
        }
        self.bounds = Bounds { declared: Some(declared), programs, ..self.bounds };
        Ok(Self { measures, ..self })
    }
}

/// What a later policy must keep to.
#[derive(Default)]
pub(super) struct Bounds {
    /// Whether no other policy comes into force.
    frozen: bool,
    /// Whether what it names must be such that no workload can write it.
    trusted: bool,
    /// The brokers that the process knows.
    brokers: Vec<String>,
    /// The folders that are left; `None` where all are.
    declared: Option<Declared>,
    /// The programs that are left.
    pub(super) programs: Programs,
}

impl Bounds {
    /// Says why a policy that compiles may not come into force.
    pub(super) fn hold(&self, policy: &Policy) -> Result<(), String> {
        let via = |rule: &'_ Rule| rule.via.clone().filter(|via| !self.brokers.iter().any(|known| **known == **via));
        if let Some((rule, via)) = policy.rules().iter().find_map(|rule| Some((&rule.name, via(rule)?))) {
            return Err(format!("rule `{rule}` goes via `{via}`, and no broker has that name: add it under `brokers:` in proxy.yaml"));
        }
        if self.frozen {
            return Err("a confined run keeps the policy that it began with: end it and start it again".to_owned());
        }
        for credential in policy.credentials() {
            let (source, name) = (&credential.source, &credential.name);
            for path in source.reads() {
                if self.trusted {
                    untouchable(path).map_err(|why| format!("credential `{name}`: {why}"))?;
                }
                if self.declared.as_ref().is_some_and(|declared| !declared.covers(path)) {
                    return Err(outside(name, path));
                }
            }
            if let Some(path) = source.writes().into_iter().find(|path| self.declared.as_ref().is_some_and(|left| !left.covers_write(path)))
            {
                return Err(outside(name, path));
            }
            if let Some(program) = source.programs().into_iter().find(|command| !self.programs.covers(command)) {
                let program = program.first().map(String::as_str).unwrap_or_default();
                return Err(format!("credential `{name}`: the program `{program}` was not in the policy at start; start keygress again"));
            }
        }
        Ok(())
    }
}

fn outside(name: &impl std::fmt::Display, path: &Path) -> String {
    format!("credential `{name}`: `{}` is outside the folders that keygress left itself at start; start it again", path.display())
}

/// Says what of this a workload could change: the binary, the policy, what it names, where the CA is written.
///
/// # Errors
/// Names the path, who may write it, and the remedy.
pub fn untouched(settings: &Settings, policy: &Policy) -> Result<(), String> {
    let binary = std::env::current_exe().ok();
    let kubernetes = settings.kubernetes.iter().flat_map(|kubernetes| [&kubernetes.token, &kubernetes.jwks]);
    let paths = settings.policy.iter().chain(&settings.upstream_ca).chain(kubernetes).chain(&binary);
    let paths = paths.chain(settings.state.iter().map(|place| &place.key)).chain(&settings.audit_key).chain(webhook_secret(settings));
    let paths = paths.chain(otlp_headers(settings));
    identities(settings).try_for_each(untouchable)?;
    // In a pod it lies on a volume of its own that the other containers mount to read alone: its mode says nothing there.
    let trusted = settings.ca_folder.as_deref().filter(|_| settings.kubernetes.is_none());
    let folders = [&settings.ca_file, &settings.admin_socket].into_iter().flatten().filter_map(|path| path.parent()).chain(trusted);
    paths.map(AsRef::as_ref).chain(folders).try_for_each(untouchable)?;
    Bounds { trusted: true, brokers: settings.brokers.iter().map(|broker| broker.name.clone()).collect(), ..Bounds::default() }.hold(policy)
}

fn untouchable(path: &Path) -> Result<(), String> {
    let help = "or say `--unsafe-writable-files`";
    trust::complaint(path).map_or(Ok(()), |complaint| Err(format!("a workload could change what keygress trusts: {complaint}, {help}")))
}

/// Who may come over mutual TLS, or with a token.
fn peers(mutual: &Mutual, roots: &[PathBuf]) -> anyhow::Result<Peers> {
    let own = Identity::read(mutual.files.clone()).map_err(|why| anyhow!("the listener over mutual TLS: {why}"))?;
    let issuers = mutual.issuers.iter().map(|TokenIssuer { issuer, audience, keys, is_cluster }| {
        let place = match keys {
            KeySet::File(path) => keys::Place::File(path.clone()),
            KeySet::Url(url) => {
                let site = Site::at(url, Arc::new(config::roots(roots)?));
                let site = site.map_err(|(message, help)| anyhow!("the keys of the issuer `{issuer}`: {message}; {help}"))?;
                let site = Arc::new(site);
                let ask = move || -> keys::Asked {
                    let site = Arc::clone(&site);
                    Box::pin(async move { site.ask().await })
                };
                keys::Place::Url(url.clone(), Box::new(ask))
            }
        };
        Ok(Issuer::new(issuer.clone(), audience.clone(), place, *is_cluster))
    });
    Ok(Peers::new(own).believing(Issuers::new(issuers.collect::<anyhow::Result<_>>()?)))
}

/// The files by which the process proves itself over mutual TLS, and those by which others do.
fn identities(settings: &Settings) -> impl Iterator<Item = &Path> {
    let brokers = settings.brokers.iter().map(|broker| &broker.files);
    let issuers = settings.mutual.iter().flat_map(|mutual| &mutual.issuers);
    let keys = issuers.filter_map(|issuer| match &issuer.keys {
        KeySet::File(path) => Some(path.as_path()),
        KeySet::Url(_) => None,
    });
    settings.mutual.iter().map(|mutual| &mutual.files).chain(brokers).flat_map(Files::paths).chain(keys)
}

/// What signs the alerts that are told.
fn webhook_secret(settings: &Settings) -> Option<&PathBuf> {
    settings.detect.as_ref()?.webhook.as_ref().map(|webhook| &webhook.secret)
}

/// What a collector wants to see.
fn otlp_headers(settings: &Settings) -> Option<&PathBuf> {
    settings.otlp.as_ref()?.headers.as_ref()
}

/// Every folder that this process has to do with.
fn declared(settings: &Settings, policy: &Policy) -> Declared {
    let mut declared = Declared::default();
    let kubernetes = settings.kubernetes.iter().flat_map(|kubernetes| [&kubernetes.token, &kubernetes.jwks]);
    settings.policy.iter().chain(&settings.upstream_ca).chain(kubernetes).for_each(|path| declared.read(path));
    identities(settings).for_each(|path| declared.read(path));
    let sockets = settings.unix.iter().chain(&settings.admin_socket);
    sockets.chain(&settings.ca_file).for_each(|path| declared.write(path));
    settings.ca_folder.iter().for_each(|folder| declared.write(&folder.join("ca.pem")));
    if let Sink::File(path) = &settings.audit {
        declared.write(path);
    }
    settings.audit_also.iter().filter_map(Also::path).for_each(|path| declared.write(path));
    settings.audit_key.iter().chain(webhook_secret(settings)).chain(otlp_headers(settings)).for_each(|path| declared.read(path));
    if let Some(Place { folder, key, .. }) = &settings.state {
        declared.write(&folder.join("ledger"));
        declared.read(key);
    }
    for credential in policy.credentials() {
        credential.source.reads().into_iter().for_each(|path| declared.read(path));
        credential.source.writes().into_iter().for_each(|path| declared.write(path));
    }
    declared
}

fn compile(files: &[SourceFile]) -> anyhow::Result<Policy> {
    match reload::compile(files) {
        Ok((policy, warnings)) => {
            for warning in warnings {
                tracing::warn!(code = warning.code, "{}", warning.message);
            }
            Ok(policy)
        }
        Err(problems) => Err(anyhow!("the policy does not load\n{}", problem::render(&problems, files, Colour::Plain).trim_end())),
    }
}
