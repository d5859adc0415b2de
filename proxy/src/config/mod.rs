//! How the process itself runs: flags over environment over `proxy.yaml`, read once at start. What is allowed is the policy's to say.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use keygress_policy::compile::HostPattern;
use keygress_policy::destination::Host;

use crate::admission::DELAY_MAX;
use crate::audit::{Also, Rotation, Sink};
use crate::detect::SETTLE;
use crate::sandbox::Mode;
use crate::state::Place;
use crate::telemetry::Otlp;

/// The flags of `serve`, each with its environment variable.
mod flags;

/// How the audit is kept.
mod audit;

/// How abnormal reuse is looked for.
mod detect;

/// What a collector is told.
mod otlp;

/// `proxy.yaml`.
mod file;

/// The two ends between keygress processes.
mod broker;

/// The certificates by which upstreams are verified.
mod roots;

pub use audit::size;
pub use broker::{Broker, KeySet, Mutual, MutualFlags, TokenIssuer};
pub use flags::{Flags, duration, named_state};
pub use roots::roots;

/// How long running requests may go on after the process was asked to stop.
const DRAIN_GRACE: Duration = Duration::from_secs(30);

/// How a process runs. [`Flags::settings`] reads it; `run`, `demo` and tests fill it in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Files and folders that together are the policy.
    pub policy: Vec<PathBuf>,
    /// TCP addresses for callers; port 0 takes a free one.
    pub tcp: Vec<SocketAddr>,
    /// TCP addresses for connections that nftables or iptables redirects here.
    pub transparent: Vec<SocketAddr>,
    /// TCP addresses for connections that `TPROXY` brings here; they need `CAP_NET_ADMIN`.
    pub tproxy: Vec<SocketAddr>,
    /// The mark (`SO_MARK`) on every connection that the process dials, by which rules tell them from those of callers.
    pub mark: Option<u32>,
    /// The listener for other keygress processes, and for workloads, over mutual TLS.
    pub mutual: Option<Mutual>,
    /// The brokers that the policy may name.
    pub brokers: Vec<Broker>,
    /// Unix sockets for callers.
    pub unix: Vec<PathBuf>,
    /// Worker threads.
    pub workers: usize,
    /// Where the audit goes.
    pub audit: Sink,
    /// Let a credential leave only after the record of its use is on the disk.
    pub audit_strict: bool,
    /// Where the audit goes too.
    pub audit_also: Vec<Also>,
    /// The key that signs it; without one, that of the state folder.
    pub audit_key: Option<PathBuf>,
    /// When its file is put aside.
    pub audit_rotation: Rotation,
    /// Where what outlives the process is kept: leases, and what was stopped by hand.
    pub state: Option<Place>,
    /// How abnormal reuse is looked for; `None` where it is not.
    pub detect: Option<Detect>,
    /// The collector, and what it is told.
    pub otlp: Option<Otlp>,
    /// Where health, metrics and control are served, mode 0600.
    pub admin_socket: Option<PathBuf>,
    /// Where health and metrics are served over TCP, read only.
    pub metrics: Option<SocketAddr>,
    /// Certificates (PEM) that upstreams may have, beside the system's roots.
    pub upstream_ca: Vec<PathBuf>,
    /// Hosts that the local CA may sign for. Empty: the hosts of the first policy and their registrable domains.
    pub ca_permit: Vec<HostPattern>,
    /// Where the certificate of the local CA is written for callers.
    pub ca_file: Option<PathBuf>,
    /// The folder in which callers find what they are to trust, for every runtime.
    pub ca_folder: Option<PathBuf>,
    /// Refuse requests that present no task token.
    pub require_task: bool,
    /// Accept callers that run under the UID of keygress: they can read its memory.
    pub unsafe_same_uid: bool,
    /// Take over listeners on addresses that are not loopback.
    pub unsafe_listen: bool,
    /// Start although a workload could write the policy, the binary or what the policy names.
    pub unsafe_writable_files: bool,
    /// How much of the sandbox must be there: `serve` alone enters it.
    pub sandbox: Mode,
    /// The service-account token of the pod that the listeners serve, and how it is verified.
    pub kubernetes: Option<Kubernetes>,
    /// How long running requests may go on after the process was asked to stop.
    pub drain_grace: Duration,
    /// How long what is ready may wait for its turn on a worker before requests are refused as `overloaded`. Zero: as long as it takes.
    pub overload_delay: Duration,
    /// Names that are not asked of DNS: `demo` and tests. The guard holds for them as for any other.
    pub pins: HashMap<Host, IpAddr>,
}

/// How abnormal reuse is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detect {
    /// How long it takes until it is settled what is usual of a credential.
    pub settle: Duration,
    /// Where alerts are told.
    pub webhook: Option<Hook>,
}

/// Where alerts are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The URL.
    pub url: String,
    /// The file of the secret that signs.
    pub secret: PathBuf,
}

impl Default for Detect {
    fn default() -> Self {
        Self { settle: SETTLE, webhook: None }
    }
}

/// How the pod proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// The projected token of the pod.
    pub token: PathBuf,
    /// The keys of the cluster's issuer, as a JSON Web Key Set.
    pub jwks: PathBuf,
    /// The issuer that the token must name.
    pub issuer: String,
    /// The audience that the token must name.
    pub audience: String,
}

impl Default for Settings {
    /// Listens nowhere, with one worker; the audit goes to standard output.
    fn default() -> Self {
        Self {
            policy: Vec::new(),
            tcp: Vec::new(),
            transparent: Vec::new(),
            tproxy: Vec::new(),
            mark: None,
            mutual: None,
            brokers: Vec::new(),
            unix: Vec::new(),
            workers: 1,
            audit: Sink::Stdout,
            audit_strict: false,
            audit_also: Vec::new(),
            audit_key: None,
            audit_rotation: Rotation::default(),
            state: None,
            detect: Some(Detect::default()),
            otlp: None,
            admin_socket: None,
            metrics: None,
            upstream_ca: Vec::new(),
            ca_permit: Vec::new(),
            ca_file: None,
            ca_folder: None,
            require_task: false,
            unsafe_same_uid: false,
            unsafe_listen: false,
            unsafe_writable_files: false,
            sandbox: Mode::Auto,
            kubernetes: None,
            drain_grace: DRAIN_GRACE,
            overload_delay: DELAY_MAX,
            pins: HashMap::new(),
        }
    }
}

/// What is wrong with the flags, the environment or `proxy.yaml`, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid {
    message: String,
    help: Option<String>,
}

impl Invalid {
    fn new(message: String) -> Self {
        Self { message, help: None }
    }

    fn with_help(message: String, help: &str) -> Self {
        Self { message, help: Some(help.to_owned()) }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests;
