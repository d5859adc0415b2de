//! The proxy under test: the very one that `keygress serve` starts, in this process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keygress::audit::Sink;
use keygress::caller::NewTask;
use keygress::cli::serve::{self, Running};
use keygress::config::Settings;
use keygress::credentials::Ended;
use keygress::metrics::Metrics;
use keygress_policy::compile::Placeholder;
use keygress_policy::destination::Host;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::client;
use crate::site::Site;
use crate::tools;

/// How long requests that run may go on when a test ends.
const DRAIN_GRACE: Duration = Duration::from_millis(200);

/// A running proxy; stopped with its handle at the latest.
pub struct Proxy {
    running: Option<Running>,
    runtime: Runtime,
    address: SocketAddr,
    socket: PathBuf,
    admin: PathBuf,
    ca: PathBuf,
    policy: PathBuf,
    audit: Mutex<Audit>,
    metrics: Metrics,
}

/// What the application of a task gets to hold.
pub struct Held {
    /// The id of the task.
    pub id: String,
    /// What admits its requests.
    pub token: String,
    /// Credential name → its placeholder.
    pub placeholders: BTreeMap<String, String>,
}

/// What the audit wrote so far.
struct Audit {
    lines: Receiver<String>,
    read: Vec<String>,
}

impl Proxy {
    /// Starts it with this policy. Every host of the policy that ends in `.test` is on loopback.
    ///
    /// # Errors
    /// What is wrong with the policy, among others.
    pub fn start(site: &Site, policy: &str) -> Result<Self> {
        Self::start_with(site, policy, |_| {})
    }

    /// The same, with other settings where these are changed.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn start_with(site: &Site, policy: &str, change: impl FnOnce(&mut Settings)) -> Result<Self> {
        let folder = site.folder();
        let path = site.write("policy.yaml", policy)?;
        let (sink, lines) = channel();
        let (socket, ca) = (folder.join("callers.sock"), folder.join("keygress-ca.pem"));
        let admin = folder.join("admin.sock");
        let mut settings = Settings {
            policy: vec![path.clone()],
            tcp: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            unix: vec![socket.clone()],
            audit: Sink::Memory(sink),
            upstream_ca: vec![site.upstream_ca()],
            admin_socket: Some(admin.clone()),
            ca_file: Some(ca.clone()),
            unsafe_same_uid: true,
            drain_grace: DRAIN_GRACE,
            // A machine that is busy with other tests is no overload of this proxy.
            overload_delay: Duration::ZERO,
            pins: pins(policy)?,
            ..Settings::default()
        };
        change(&mut settings);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let running = runtime.block_on(serve::start(settings))?;
        let address = *running.tcp.first().context("no listener")?;
        let audit = Mutex::new(Audit { lines, read: Vec::new() });
        let metrics = running.shared.metrics.clone();
        Ok(Self { metrics, running: Some(running), runtime, address, socket, admin, ca, policy: path, audit })
    }

    /// Where callers connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where peers connect over mutual TLS.
    ///
    /// # Errors
    /// Where it does not listen for them.
    pub fn mutual(&self) -> Result<SocketAddr> {
        self.running.as_ref().and_then(|running| running.mutual.first().copied()).context("no listener over mutual TLS")
    }

    /// The port of [`Proxy::address`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The certificate of the local CA, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.running.as_ref().map_or("", |running| &running.ca_pem)
    }

    /// The Unix socket for callers.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// One request to the admin socket: status and answer.
    ///
    /// # Errors
    /// Where nobody answers in JSON.
    pub fn control(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value)> {
        // What only reads has no body: it is answered without waiting for one.
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let length = body.len();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        let mut stream = UnixStream::connect(&self.admin)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, serde_json::from_str(body)?))
    }

    /// Begins a task with this label, which holds a placeholder for each of these credentials.
    ///
    /// # Errors
    /// Where the proxy was stopped.
    pub fn begin_task(&self, (label, value): (&str, &str), credentials: &[&str]) -> Result<Held> {
        let labels = BTreeMap::from([(label.to_owned(), value.to_owned())]);
        let named = credentials.iter().map(|name| (*name, Placeholder { env: (*name).to_owned(), like: String::new(), length: 32 }));
        let named: Vec<_> = named.collect();
        let NewTask { running: task, token, placeholders } = NewTask::new(labels, named.iter().map(|(name, like)| (*name, like)))?;
        let running = self.running.as_ref().context("stopped")?;
        let id = running.shared.callers.begin(task).task.id.clone();
        Ok(Held { id, token: token.to_string(), placeholders })
    }

    /// Ends a task: its token opens nothing from now on.
    ///
    /// # Errors
    /// Where the proxy was stopped.
    pub fn end_task(&self, held: &Held) -> Result<()> {
        self.running.as_ref().context("stopped")?.shared.callers.end(&held.id);
        Ok(())
    }

    /// The admin socket.
    #[must_use]
    pub fn admin(&self) -> &Path {
        &self.admin
    }

    /// A program that finds the proxy and its CA in its environment, as a user would set it.
    #[must_use]
    pub fn client(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = client::bare(program);
        let url = format!("http://{}", self.address);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env(name, &url);
        }
        for name in
            ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]
        {
            command.env(name, &self.ca);
        }
        command
    }

    /// The records so far, oldest first.
    ///
    /// # Errors
    /// Where a line is no JSON.
    pub fn records(&self) -> Result<Vec<Value>> {
        self.record_lines().iter().map(|line| serde_json::from_str(line).with_context(|| line.clone())).collect()
    }

    /// Waits until the records so far are like this, at most a minute. Whether they are.
    #[must_use]
    pub fn records_once(&self, like_this: impl Fn(&[Value]) -> bool) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match self.records() {
                Ok(records) if like_this(&records) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
            let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
            match audit.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => audit.read.push(line),
                Err(_) => return false,
            }
        }
    }

    /// The lines of the audit so far.
    #[must_use]
    pub fn record_lines(&self) -> Vec<String> {
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<_> = audit.lines.try_iter().collect();
        audit.read.extend(fresh);
        audit.read.clone()
    }

    /// Waits for a line of the audit that holds this text, at most a minute.
    #[must_use]
    pub fn await_record(&self, text: &str) -> Option<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = audit.read.iter().find(|line| line.contains(text)) {
            return Some(line.clone());
        }
        while let Ok(line) = audit.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            audit.read.push(line.clone());
            if line.contains(text) {
                return Some(line);
            }
        }
        None
    }

    /// The metrics as Prometheus would read them; after the end too.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.metrics.expose()
    }

    /// The metrics themselves, which outlive the proxy; empty ones where it was stopped already.
    #[must_use]
    pub fn metrics_handle(&self) -> Metrics {
        self.running.as_ref().map(|running| running.shared.metrics.clone()).unwrap_or_default()
    }

    /// Replaces the policy file and loads it, as SIGHUP does.
    ///
    /// # Errors
    /// Where the policy does not load: the last good one stays.
    pub fn reload(&self, policy: &str) -> Result<()> {
        std::fs::write(&self.policy, policy)?;
        let running = self.running.as_ref().context("stopped")?;
        self.runtime.block_on(running.reloader.reload()).map(drop).map_err(|why| anyhow::anyhow!("{why:?}"))
    }

    /// Replaces the policy file and leaves the rest to the watcher; returns when the next generation is in force.
    ///
    /// # Errors
    /// Where it is not within 20 s.
    pub fn rewrite(&self, policy: &str) -> Result<()> {
        let running = self.running.as_ref().context("stopped")?;
        let before = running.shared.live.load().generation;
        let mut progress = running.reloader.progress();
        std::fs::write(&self.policy, policy)?;
        self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), async {
                while running.shared.live.load().generation == before {
                    progress.changed().await?;
                }
                anyhow::Ok(())
            })
            .await?
        })
    }

    /// Stops it: every lease is revoked.
    pub fn stop(&mut self) -> Ended {
        self.running.take().map(|running| self.runtime.block_on(running.stop())).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The hosts of a policy that end in `.test`, all on loopback.
fn pins(policy: &str) -> Result<HashMap<Host, IpAddr>> {
    let words = policy.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'));
    let hosts: BTreeSet<_> = words.filter(|word| word.ends_with(".test")).collect();
    let pin = |host: &str| Ok((Host::parse(host).map_err(|why| anyhow::anyhow!("{host}: {why}"))?, IpAddr::V4(Ipv4Addr::LOCALHOST)));
    hosts.into_iter().map(pin).collect()
}

/// The binary `keygress`, built from this tree as the tests are.
///
/// # Errors
/// Where it does not build.
pub fn binary() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    tools::run(
        Command::new(cargo).args(["build", "--locked", "--profile", "ci", "--workspace", "--bin", "keygress"]).current_dir(tools::root()),
    )?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tools::root().join("target"), PathBuf::from);
    Ok(target.join("ci/keygress"))
}
