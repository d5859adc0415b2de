//! `proxy.yaml`: the same settings as the flags, in a file. A flag or its environment variable wins over it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use keygress_policy::document::Narrow;
use serde::Deserialize;

use super::Invalid;
use super::detect::DetectFile;
use super::otlp::OtlpFile;
use crate::sandbox::Mode;

/// What stands in `proxy.yaml`. Paths in it are relative to its own folder.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProxyFile {
    /// Files and folders that together are the policy.
    pub(super) policy: Vec<PathBuf>,
    /// Where callers come in.
    pub(super) listen: Listen,
    /// The mark on what is dialled.
    pub(super) mark: Option<u32>,
    /// Worker threads.
    pub(super) workers: Option<usize>,
    /// A file, or `stdout`.
    pub(super) audit: Option<PathBuf>,
    /// Nothing leaves with a credential before that is on the disk.
    pub(super) audit_strict: bool,
    /// Further sinks.
    pub(super) audit_also: Vec<String>,
    /// What signs it.
    pub(super) audit_key: Option<PathBuf>,
    /// When its file is put aside.
    pub(super) audit_rotate: Rotate,
    /// What outlives the process.
    pub(super) state: Option<State>,
    /// How abnormal reuse is looked for.
    pub(super) detect: DetectFile,
    /// The collector, and what it is told.
    pub(super) otlp: Option<OtlpFile>,
    /// Look for none.
    pub(super) unsafe_no_detect: bool,
    /// Health, metrics and control.
    pub(super) admin: Admin,
    /// Certificates that upstreams may have.
    pub(super) upstream_ca: Vec<PathBuf>,
    /// The local certificate authority.
    pub(super) ca: Ca,
    /// Refuse requests without a task token.
    pub(super) require_task: bool,
    /// Brokers by the name that the policy gives them.
    pub(super) brokers: BTreeMap<String, Broker>,
    /// How the pod proves itself.
    pub(super) kubernetes: Option<Kubernetes>,
    /// Such as `30s`.
    pub(super) drain_grace: Option<String>,
    /// Such as `4ms`; `0s` refuses nothing.
    pub(super) overload_delay: Option<String>,
    /// Accept callers under the UID of keygress.
    pub(super) unsafe_same_uid: bool,
    /// Start although a workload could write what keygress trusts.
    pub(super) unsafe_writable_files: bool,
    /// `auto`, `require` or `unsafe-off`.
    pub(super) sandbox: Option<Mode>,
    /// Listen on addresses that are not loopback.
    pub(super) unsafe_listen: bool,
}

/// `listen:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Listen {
    /// TCP addresses.
    pub(super) tcp: Vec<SocketAddr>,
    /// TCP addresses for redirected connections.
    pub(super) transparent: Vec<SocketAddr>,
    /// TCP addresses for what `TPROXY` brings.
    pub(super) tproxy: Vec<SocketAddr>,
    /// Other keygress processes, and workloads, over mutual TLS.
    pub(super) mtls: Option<Mutual>,
    /// Unix sockets.
    pub(super) unix: Vec<PathBuf>,
}

/// `listen: { mtls: … }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mutual {
    /// TCP addresses.
    pub(super) address: Vec<SocketAddr>,
    /// The certificate that is shown, with its chain.
    pub(super) certificate: PathBuf,
    /// Its private key.
    pub(super) key: PathBuf,
    /// The authorities from which client certificates must come.
    pub(super) ca: PathBuf,
    /// Whose tokens are believed of workloads without a certificate.
    #[serde(default)]
    pub(super) tokens: Vec<TokenIssuer>,
}

/// One of `tokens:`. Exactly one of `jwks` and `jwks_url`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenIssuer {
    /// `iss`.
    pub(super) issuer: String,
    /// What `aud` must hold.
    pub(super) audience: String,
    /// The file of its keys; read again when a token needs it.
    pub(super) jwks: Option<PathBuf>,
    /// The URL of its keys.
    pub(super) jwks_url: Option<String>,
    /// Its tokens are service-account tokens of a Kubernetes cluster, and prove pods.
    #[serde(default)]
    pub(super) kubernetes: bool,
}

/// One of `brokers:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Broker {
    /// `https://HOST:PORT`.
    pub(super) url: String,
    /// The SPIFFE ID of its certificate. Default: the certificate is for the host.
    pub(super) spiffe_id: Option<String>,
    /// The certificate that is shown to it, with its chain.
    pub(super) certificate: PathBuf,
    /// Its private key.
    pub(super) key: PathBuf,
    /// The authorities from which its certificate must come.
    pub(super) ca: PathBuf,
}

/// `audit_rotate:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rotate {
    /// Such as `100MiB`.
    pub(super) size: Option<String>,
    /// Such as `24h`.
    pub(super) every: Option<String>,
    /// How many files are kept.
    pub(super) keep: Option<usize>,
}

/// `state:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The file that holds its key.
    pub(super) key: Option<PathBuf>,
}

/// `admin:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    /// Health, metrics and control.
    pub(super) socket: Option<PathBuf>,
    /// Health and metrics, read only.
    pub(super) metrics: Option<SocketAddr>,
}

/// `ca:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ca {
    /// Hosts that it may sign for.
    pub(super) permit: Vec<String>,
    /// Where its certificate is written.
    pub(super) file: Option<PathBuf>,
    /// The folder of what callers trust.
    pub(super) folder: Option<PathBuf>,
}

/// `kubernetes:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kubernetes {
    /// The projected token.
    pub(super) token: PathBuf,
    /// The keys of the issuer.
    pub(super) jwks: PathBuf,
    /// The issuer.
    pub(super) issuer: String,
    /// The audience.
    pub(super) audience: String,
}

impl ProxyFile {
    /// Reads the file; every path in it becomes relative to where the file is.
    pub(super) fn read(path: &Path) -> Result<Self, Invalid> {
        let text = fs::read_to_string(path).map_err(|error| Invalid::new(format!("cannot read `{}`: {error}", path.display())))?;
        let Narrow(mut file): Narrow<Self> = serde_saphyr::from_str(&text)
            .map_err(|error| Invalid::new(format!("`{}` is not a valid proxy.yaml: {error}", path.display())))?;
        file.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(file)
    }

    fn resolve(&mut self, folder: &Path) {
        let lists = [&mut self.policy, &mut self.listen.unix, &mut self.upstream_ca];
        let single = [&mut self.admin.socket, &mut self.ca.file, &mut self.ca.folder, &mut self.audit_key];
        let audit = self.audit.iter_mut().filter(|audit| *audit != Path::new("stdout"));
        let state = self.state.iter_mut().flat_map(|state| std::iter::once(&mut state.folder).chain(&mut state.key));
        let kubernetes = self.kubernetes.iter_mut().flat_map(|kubernetes| [&mut kubernetes.token, &mut kubernetes.jwks]);
        let mutual = self.listen.mtls.iter_mut().flat_map(|mtls| {
            let tokens = mtls.tokens.iter_mut().filter_map(|token| token.jwks.as_mut());
            [&mut mtls.certificate, &mut mtls.key, &mut mtls.ca].into_iter().chain(tokens)
        });
        let brokers = self.brokers.values_mut().flat_map(|broker| [&mut broker.certificate, &mut broker.key, &mut broker.ca]);
        let webhook = self.detect.webhook.iter_mut().map(|webhook| &mut webhook.secret);
        let otlp = self.otlp.iter_mut().flat_map(|otlp| &mut otlp.headers);
        let paths = lists
            .into_iter()
            .flatten()
            .chain(single.into_iter().flatten())
            .chain(audit)
            .chain(state)
            .chain(kubernetes)
            .chain(mutual)
            .chain(brokers)
            .chain(webhook)
            .chain(otlp);
        for path in paths {
            *path = folder.join(&*path);
        }
    }
}
