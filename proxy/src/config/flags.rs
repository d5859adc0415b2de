//! The flags of `serve`, each with its environment variable.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keygress_policy::compile::HostPattern;
use keygress_policy::destination::Host;

use super::audit::AuditFlags;
use super::broker::{MutualFlags, brokers};
use super::detect::DetectFlags;
use super::file::ProxyFile;
use super::otlp::OtlpFlags;
use super::{DRAIN_GRACE, Invalid, Kubernetes, Settings};
use crate::admission::DELAY_MAX;
use crate::audit::Also;
use crate::sandbox::Mode;
use crate::state::Place;

/// Where callers come in where nothing is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:8787";

/// How this process runs. A flag wins over its environment variable, and both over `proxy.yaml`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Read settings from this file.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_CONFIG")]
    config: Option<PathBuf>,
    /// A file or folder of the policy; may be repeated.
    #[arg(long = "policy", value_name = "PATH", env = "KEYGRESS_POLICY", value_delimiter = ':')]
    policy: Vec<PathBuf>,
    /// A TCP address for callers; may be repeated. Default: 127.0.0.1:8787.
    #[arg(long = "listen", value_name = "ADDRESS", env = "KEYGRESS_LISTEN", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// A TCP address for connections that nftables redirects here (`keygress net` makes the rules); may be repeated.
    #[arg(long = "transparent", value_name = "ADDRESS", env = "KEYGRESS_TRANSPARENT", value_delimiter = ',')]
    transparent: Vec<SocketAddr>,
    /// A TCP address for connections that TPROXY brings here, which needs CAP_NET_ADMIN; may be repeated.
    #[arg(long = "tproxy", value_name = "ADDRESS", env = "KEYGRESS_TPROXY", value_delimiter = ',')]
    tproxy: Vec<SocketAddr>,
    /// Mark (SO_MARK) every connection that keygress dials, for rules that must not capture them; needs CAP_NET_ADMIN.
    #[arg(long, value_name = "NUMBER", env = "KEYGRESS_MARK")]
    mark: Option<u32>,
    #[command(flatten)]
    mutual: MutualFlags,
    /// A Unix socket for callers; may be repeated.
    #[arg(long = "unix", value_name = "PATH", env = "KEYGRESS_UNIX", value_delimiter = ':')]
    unix: Vec<PathBuf>,
    /// Worker threads. Default: one per CPU, at most 8.
    #[arg(long, value_name = "COUNT", env = "KEYGRESS_WORKERS", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    #[command(flatten)]
    audit: AuditFlags,
    /// Keep in this folder what outlives the process: leases, so that those of a process that was killed are revoked, and what was stopped by
    /// hand.
    #[arg(long, value_name = "FOLDER", env = "KEYGRESS_STATE")]
    state: Option<PathBuf>,
    /// The file whose 32 bytes or more encrypt what revokes a lease. Default: the systemd credential `keygress-state-key`.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_STATE_KEY")]
    state_key: Option<PathBuf>,
    #[command(flatten)]
    detect: DetectFlags,
    #[command(flatten)]
    otlp: OtlpFlags,
    /// Serve health, metrics and control on this Unix socket.
    #[arg(long, value_name = "PATH", env = "KEYGRESS_ADMIN_SOCKET")]
    admin_socket: Option<PathBuf>,
    /// Serve health and metrics, read only, on this TCP address.
    #[arg(long, value_name = "ADDRESS", env = "KEYGRESS_METRICS")]
    metrics: Option<SocketAddr>,
    /// Certificates (PEM) that upstreams may have, beside the system's roots; may be repeated.
    #[arg(long = "upstream-ca", value_name = "FILE", env = "KEYGRESS_UPSTREAM_CA", value_delimiter = ':')]
    upstream_ca: Vec<PathBuf>,
    /// A host, or `*.` and a suffix, that the local CA may sign for; may be repeated. Default: the hosts of the policy and their
    /// registrable domains.
    #[arg(long = "ca-permit", value_name = "HOST", env = "KEYGRESS_CA_PERMIT", value_delimiter = ',')]
    ca_permit: Vec<String>,
    /// Write the certificate of the local CA to this file, for callers to trust.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Write into this folder what callers trust: `ca.pem`, the local CA; `bundle.pem`, with the system's roots; `trust.jks`, the same for Java.
    #[arg(long, value_name = "FOLDER", env = "KEYGRESS_CA_FOLDER")]
    ca_folder: Option<PathBuf>,
    /// Refuse requests that present no task token.
    #[arg(long, env = "KEYGRESS_REQUIRE_TASK")]
    require_task: bool,
    /// The projected service-account token of the pod that is served.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_KUBERNETES_TOKEN")]
    kubernetes_token: Option<PathBuf>,
    /// The keys of the cluster's issuer, as a JSON Web Key Set.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_KUBERNETES_JWKS")]
    kubernetes_jwks: Option<PathBuf>,
    /// The issuer that the pod's token must name.
    #[arg(long, value_name = "URL", env = "KEYGRESS_KUBERNETES_ISSUER")]
    kubernetes_issuer: Option<String>,
    /// The audience that the pod's token must name.
    #[arg(long, value_name = "NAME", env = "KEYGRESS_KUBERNETES_AUDIENCE")]
    kubernetes_audience: Option<String>,
    /// How long running requests may go on after the process was asked to stop. Default: 30s.
    #[arg(long, value_name = "DURATION", env = "KEYGRESS_DRAIN_GRACE")]
    drain_grace: Option<String>,
    /// Refuse requests (503, `overloaded`) while what is ready waits longer than this for its turn on a worker; `0s` refuses nothing.
    /// Default: 20ms.
    #[arg(long, value_name = "DURATION", env = "KEYGRESS_OVERLOAD_DELAY")]
    overload_delay: Option<String>,
    /// Accept callers that run under the UID of keygress, which can read its memory.
    #[arg(long, env = "KEYGRESS_UNSAFE_SAME_UID")]
    unsafe_same_uid: bool,
    /// Start although a workload could write the policy, the binary or a file that the policy names.
    #[arg(long, env = "KEYGRESS_UNSAFE_WRITABLE_FILES")]
    unsafe_writable_files: bool,
    /// How much of the sandbox must be there. Default: auto, which is what this kernel has.
    #[arg(long, value_name = "MODE", env = "KEYGRESS_SANDBOX")]
    sandbox: Option<Mode>,
    /// Listen on addresses that are not loopback: whoever reaches them is a caller.
    #[arg(long, env = "KEYGRESS_UNSAFE_LISTEN")]
    unsafe_listen: bool,
}

impl Flags {
    /// Whether a policy is named, here or, as is supposed, in `proxy.yaml`.
    #[must_use]
    pub fn names_a_policy(&self) -> bool {
        self.config.is_some() || !self.policy.is_empty()
    }

    /// The settings: these flags over `proxy.yaml` over the defaults.
    ///
    /// # Errors
    /// What is missing, cannot be read, or is unsafe without saying so.
    pub fn settings(self) -> Result<Settings, Invalid> {
        let file = self.config.as_deref().map(ProxyFile::read).transpose()?.unwrap_or_default();
        let unix = first_given(self.unix, file.listen.unix);
        let mut tcp = first_given(self.listen, file.listen.tcp);
        let transparent = first_given(self.transparent, file.listen.transparent);
        let tproxy = first_given(self.tproxy, file.listen.tproxy);
        let mutual = self.mutual.over(file.listen.mtls)?;
        let is_nowhere = [&tcp, &transparent, &tproxy].into_iter().all(Vec::is_empty) && unix.is_empty() && mutual.is_none();
        if is_nowhere && !has_inherited() {
            tcp.extend(DEFAULT_LISTEN.parse::<SocketAddr>());
        }
        let unsafe_listen = self.unsafe_listen || file.unsafe_listen;
        if !unsafe_listen {
            [&tcp, &transparent, &tproxy].into_iter().flatten().try_for_each(loopback)?;
        }
        let policy = first_given(self.policy, file.policy);
        if policy.is_empty() {
            let help = "name it with `--policy PATH`, in KEYGRESS_POLICY, or under `policy:` in proxy.yaml";
            return Err(Invalid::with_help("no policy is named".to_owned(), help));
        }
        let permit = first_given(self.ca_permit, file.ca.permit);
        let grace = self.drain_grace.or(file.drain_grace);
        let overload_delay = self.overload_delay.or(file.overload_delay);
        let recording = self.audit.over((file.audit, file.audit_strict, file.audit_also), (file.audit_key, file.audit_rotate))?;
        let otlp = self.otlp.over(file.otlp)?;
        if otlp.is_none() && recording.also.contains(&Also::Otlp) {
            let help = "name one with `--otlp-endpoint URL`, in OTEL_EXPORTER_OTLP_ENDPOINT, or under `otlp:` in proxy.yaml";
            return Err(Invalid::with_help("the audit is to go to a collector, and none is named".to_owned(), help));
        }
        Ok(Settings {
            otlp,
            policy,
            tcp,
            transparent,
            tproxy,
            mark: self.mark.or(file.mark),
            mutual,
            brokers: brokers(file.brokers)?,
            unix,
            workers: workers(self.workers.map(usize::from).or(file.workers))?,
            audit: recording.sink,
            audit_strict: recording.is_strict,
            audit_also: recording.also,
            audit_key: recording.key,
            audit_rotation: recording.rotation,
            state: state(self.state, self.state_key, file.state)?,
            detect: self.detect.over(file.detect, file.unsafe_no_detect)?,
            admin_socket: self.admin_socket.or(file.admin.socket),
            metrics: self.metrics.or(file.admin.metrics),
            upstream_ca: first_given(self.upstream_ca, file.upstream_ca),
            ca_permit: permit.iter().map(|host| host_pattern(host)).collect::<Result<_, _>>()?,
            ca_file: self.ca_file.or(file.ca.file),
            ca_folder: self.ca_folder.or(file.ca.folder),
            require_task: self.require_task || file.require_task,
            unsafe_same_uid: self.unsafe_same_uid || file.unsafe_same_uid,
            unsafe_listen,
            unsafe_writable_files: self.unsafe_writable_files || file.unsafe_writable_files,
            sandbox: self.sandbox.or(file.sandbox).unwrap_or_default(),
            kubernetes: kubernetes(
                [self.kubernetes_token, self.kubernetes_jwks],
                [self.kubernetes_issuer, self.kubernetes_audience],
                file.kubernetes,
            )?,
            drain_grace: grace.as_deref().map_or(Ok(DRAIN_GRACE), duration)?,
            overload_delay: overload_delay.as_deref().map_or(Ok(DELAY_MAX), duration)?,
            pins: std::collections::HashMap::new(),
        })
    }
}

/// Whether the service manager gives us listeners (sd_listen_fds(3)).
fn has_inherited() -> bool {
    std::env::var("LISTEN_PID").is_ok_and(|id| id.parse() == Ok(std::process::id()))
}

fn first_given<T>(flags: Vec<T>, file: Vec<T>) -> Vec<T> {
    if flags.is_empty() { file } else { flags }
}

fn loopback(address: &SocketAddr) -> Result<(), Invalid> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let message = format!("`{address}` is not a loopback address: whoever reaches it would be a caller");
    Err(Invalid::with_help(message, "listen on 127.0.0.1, on a Unix socket or over mutual TLS (`--mtls`), or say `--unsafe-listen`"))
}

fn workers(asked: Option<usize>) -> Result<usize, Invalid> {
    let available = || std::thread::available_parallelism().map_or(1, usize::from).min(8);
    match asked {
        Some(count) if (1..=256).contains(&count) => Ok(count),
        Some(count) => Err(Invalid::new(format!("`{count}` workers: there must be 1 to 256"))),
        None => Ok(available()),
    }
}

/// Where state is kept that is named by flags alone.
///
/// # Errors
/// Where the folder has no key.
pub fn named_state(folder: PathBuf, key: Option<PathBuf>) -> Result<Option<Place>, Invalid> {
    state(Some(folder), key, None)
}

fn state(folder: Option<PathBuf>, key: Option<PathBuf>, file: Option<super::file::State>) -> Result<Option<Place>, Invalid> {
    let (of_file, key_of_file) = file.map_or((None, None), |file| (Some(file.folder), file.key));
    let Some(folder) = folder.or(of_file) else { return Ok(None) };
    let of_systemd = || Some(Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join("keygress-state-key")).filter(|key| key.exists());
    match key.or(key_of_file).or_else(of_systemd) {
        Some(key) => Ok(Some(Place { folder, key, run: None })),
        None => {
            let help = "name a file of 32 random bytes with `--state-key FILE`, or give the unit the credential `keygress-state-key`";
            Err(Invalid::with_help("the state folder has no key".to_owned(), help))
        }
    }
}

fn host_pattern(text: &str) -> Result<HostPattern, Invalid> {
    let invalid = |why: &str| Invalid::new(format!("the CA cannot be permitted `{text}`: {why}"));
    let (suffix, is_wildcard) = text.strip_prefix("*.").map_or((text, false), |suffix| (suffix, true));
    match Host::parse(suffix).map_err(invalid)? {
        Host::Name(name) if is_wildcard => Ok(HostPattern::Under(name)),
        Host::Ip(_) if is_wildcard => Err(invalid("an address has no labels below it")),
        host => Ok(HostPattern::Exact(host)),
    }
}

/// Reads `30s`, `2m` or `8h`.
///
/// # Errors
/// Where it is no duration.
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| Invalid::with_help(format!("`{text}` is not a duration"), "write it with its unit, such as `30s` or `2m`"))
}

fn kubernetes(
    [token, jwks]: [Option<PathBuf>; 2],
    [issuer, audience]: [Option<String>; 2],
    file: Option<super::file::Kubernetes>,
) -> Result<Option<Kubernetes>, Invalid> {
    let (token, jwks, issuer, audience) = match file {
        None => (token, jwks, issuer, audience),
        Some(file) => {
            (token.or(Some(file.token)), jwks.or(Some(file.jwks)), issuer.or(Some(file.issuer)), audience.or(Some(file.audience)))
        }
    };
    match (token, jwks, issuer, audience) {
        (None, None, None, None) => Ok(None),
        (Some(token), Some(jwks), Some(issuer), Some(audience)) => Ok(Some(Kubernetes { token, jwks, issuer, audience })),
        _ => {
            let help = "give `--kubernetes-token`, `--kubernetes-jwks`, `--kubernetes-issuer` and `--kubernetes-audience`";
            Err(Invalid::with_help("the proof of the pod is incomplete".to_owned(), help))
        }
    }
}
