//! The promises of this stage, against an issuer that speaks real HTTP and an audit that really chains.

/// The list as the policy spells it.
mod shape;

/// `exec`: real programs.
mod programs;

/// `file`: read ahead, read again, and missing.
mod files;

/// `sealed`: what opens, and what does not.
mod sealing;

/// `oauth2_client_credentials` on the wire.
mod oauth2;

/// The other grants of OAuth 2.0, client authentication by key, and tokens that keygress signs.
mod grants;

/// `github_app`.
mod github;

/// `openbao`.
mod openbao;

/// Google Cloud, Azure, Kubernetes.
mod clouds;

/// `spiffe_jwt` and `spiffe_x509`.
mod spiffe;

/// Roles of AWS, as the policy spells them.
mod aws;

/// `aws_container` and `aws_instance`.
mod machines;

/// `gcp_service_account`.
mod service_account;

/// The stores of AWS, Google Cloud, Azure and Kubernetes.
mod stores;

/// The HTTP client of the providers over TLS.
mod tls;

/// Ready, wait, renew, invalidate.
mod slots;

/// The end of a task, of a credential, of the process.
mod ending;

/// An OAuth issuer on loopback: it follows RFC 6749 (client credentials) and RFC 7009, counts, and can be told to misbehave.
mod issuer;

/// A server that answers as a test says.
mod fake;

/// Private keys, and who verifies what they signed.
mod keys;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keygress_policy::inject::{Injection, Shape};
use keygress_policy::material::{Material, Secret};

use super::*;
use crate::Credential;
use crate::audit::{Audit, Sink};
use crate::metrics::Metrics;
use issuer::{CLIENT_ID, CLIENT_SECRET, Issuer};

/// Credentials with everything around them.
struct World {
    credentials: Credentials,
    issuer: Issuer,
    audit: Audit,
    metrics: Metrics,
    records: Mutex<mpsc::Receiver<String>>,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        let metrics = Metrics::new();
        let audit = Audit::open(Sink::Memory(sender), metrics.clone()).unwrap();
        let roots = Arc::new(rustls::RootCertStore::empty());
        let credentials = Credentials::new(tokio::runtime::Handle::current(), audit.clone(), metrics.clone(), roots);
        let folder = tempfile::tempdir().unwrap();
        let world = Self { credentials, issuer: Issuer::start().await, audit, metrics, records: Mutex::new(receiver), folder };
        world.write("client-secret", CLIENT_SECRET);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file beside its place and moves it there, as whoever rotates secrets should.
    fn write(&self, name: &str, content: &str) {
        let beside = self.path("beside");
        std::fs::write(&beside, content).unwrap();
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(beside, self.path(name)).unwrap();
    }

    /// An OAuth source at this world's issuer, with more keys.
    fn oauth(&self, more: &str) -> String {
        let (issuer, secret) = (self.issuer.address, self.path("client-secret"));
        let secret = secret.display();
        format!(
            "oauth2_client_credentials: {{ token_url: \"http://{issuer}/token\", client_id: {CLIENT_ID}, client_secret: {{ file: {secret} }}{more} }}"
        )
    }

    /// The same with a revocation endpoint.
    fn revocable(&self) -> Arc<Credential> {
        credential("api", &self.oauth(&format!(", revocation_url: \"http://{}/revoke\"", self.issuer.address)))
    }

    /// What is on record so far, as `activity code` or `activity`.
    fn records(&self) -> Vec<String> {
        let lines: Vec<_> = self.records.lock().unwrap().try_iter().collect();
        lines
            .iter()
            .map(|line| {
                assert!(!line.contains("canary"), "{line}");
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                let activity = record["activity"].as_str().unwrap();
                record["keygress"]["code"].as_str().map_or(activity.to_owned(), |code| format!("{activity} {code}"))
            })
            .collect()
    }
}

/// A credential as the policy would compile it.
fn credential(name: &str, source: &str) -> Arc<Credential> {
    Arc::new(Credential {
        preset: None,
        name: name.into(),
        index: 0,
        owner: "owner@example.com".into(),
        labels: Default::default(),
        source: source_of(source),
        injection: Injection::compile(&serde_saphyr::from_str::<Shape>("bearer").unwrap()).unwrap(),
        only_to: Vec::new(),
        placeholder: None,
        static_terms: None,
    })
}

fn source_of(yaml: &str) -> Source {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

fn file_source(path: &Path) -> String {
    format!("file: {}", path.display())
}

fn task(name: &str) -> Holder {
    Holder::Task { id: name.into(), workload: None }
}

/// What a provider is told where no test asks about it.
fn purpose() -> Purpose {
    Purpose { credential: "api".into(), holder: task("t") }
}

/// The token that goes out.
fn token(ready: &Ready) -> String {
    String::from_utf8(ready.rendered.needles()[0].expose().to_vec()).unwrap()
}

/// Keeps a paused clock where it is while something real is waited for: tokio lets it run ahead otherwise.
struct StoppedClock(#[expect(dead_code, reason = "held, so that the other end waits")] mpsc::Sender<()>);

fn stop_clock() -> StoppedClock {
    let (held, waiting) = mpsc::channel();
    tokio::task::spawn_blocking(move || waiting.recv());
    StoppedClock(held)
}

/// Lets a stopped clock go on in small steps until this has happened; sockets get their turns in between.
async fn pass_time_until(happened: impl Fn() -> bool) {
    loop {
        for _ in 0..100 {
            if happened() {
                return;
            }
            tokio::task::yield_now().await;
        }
        tokio::time::advance(Duration::from_millis(50)).await;
    }
}
