//! The world of the demonstration: an API, an issuer, the proxy and an application, all in this process.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygress_policy::destination::Host;
use keygress_policy::material::Secret;
use keygress_policy::workload::Task;
use tempfile::TempDir;

use super::api::{self, Inbox};
use super::application::Application;
use super::issuer::{CLIENT_ID, Issuer};
use super::journal::Journal;
use super::upstream::{Authority, Upstream};
use crate::audit::Sink;
use crate::caller::RunningTask;
use crate::cli::serve::{self, Running};
use crate::config::Settings;

/// The task of the application.
pub(super) const TASK: &str = "demo-task";

/// How long requests may go on at the end: there are none.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// Everything that runs.
pub(super) struct World {
    /// The proxy.
    pub(super) running: Running,
    /// Its audit.
    pub(super) journal: Journal,
    /// The application.
    pub(super) application: Application,
    /// The token issuer.
    pub(super) issuer: Tokens,
    /// The API that wants a token.
    pub(super) api: Server,
    /// A server that no rule allows.
    pub(super) collector: Server,
    /// The policy file.
    pub(super) policy: PolicyFile,
    /// Holds the policy and the client secret; removed at the end.
    pub(super) folder: TempDir,
}

/// A server and what it received.
pub(super) struct Server {
    /// The server.
    pub(super) upstream: Upstream,
    /// What it received.
    pub(super) inbox: Inbox,
}

/// The issuer and how to ask it.
pub(super) struct Tokens {
    /// What it knows.
    pub(super) state: Issuer,
    /// Its server.
    pub(super) upstream: Upstream,
    /// What proves its client.
    pub(super) client_secret: String,
    /// The authority of its certificate.
    pub(super) authority_pem: String,
}

/// The policy file and its text.
pub(super) struct PolicyFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it says.
    pub(super) text: String,
}

impl World {
    /// Starts everything.
    ///
    /// # Errors
    /// Where loopback cannot be listened on or the temporary folder cannot be written.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("keygress-demo-").permissions(Permissions::from_mode(0o700)).tempdir()?;
        let authority = Authority::new()?;
        let client_secret = random()?;
        let issuer = Tokens::start(&authority, client_secret).await?;
        let api = {
            let (inbox, state) = (Inbox::default(), issuer.state.clone());
            let taken = inbox.clone();
            let respond = move |request| api::invoices(taken.clone(), state.clone(), request);
            Server { upstream: Upstream::start(&authority, "api.demo.test", respond).await?, inbox }
        };
        let collector = Server::open(&authority, "collect.demo.test").await?;
        let policy = write_policy(folder.path(), &issuer, &api)?;
        let trusted = folder.path().join("servers.pem");
        fs::write(&trusted, &authority.pem)?;
        let (sink, journal) = Journal::open();
        let names = [&api, &collector].map(|server| Host::parse(server.upstream.host).map_err(|reason| anyhow!(reason)));
        let running = serve::start(Settings {
            policy: vec![policy.path.clone()],
            tcp: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            audit: Sink::Memory(sink),
            upstream_ca: vec![trusted],
            require_task: true,
            unsafe_same_uid: true,
            drain_grace: DRAIN_GRACE,
            pins: names.into_iter().map(|name| Ok((name?, IpAddr::V4(Ipv4Addr::LOCALHOST)))).collect::<anyhow::Result<_>>()?,
            ..Settings::default()
        })
        .await?;
        let application = begin_task(&running)?;
        Ok(Self { running, journal, application, issuer, api, collector, policy, folder })
    }
}

impl Tokens {
    /// Starts an issuer that knows one client by this secret.
    pub(super) async fn start(authority: &Authority, client_secret: String) -> anyhow::Result<Self> {
        let state = Issuer::new(&client_secret);
        let issuer = state.clone();
        // The proxy's providers resolve names as usual, so the issuer has one that every machine knows.
        let upstream = Upstream::start(authority, "localhost", move |request| issuer.clone().respond(request)).await?;
        Ok(Self { state, upstream, client_secret, authority_pem: authority.pem.clone() })
    }
}

impl Server {
    async fn open(authority: &Authority, host: &'static str) -> anyhow::Result<Self> {
        let inbox = Inbox::default();
        let taken = inbox.clone();
        let upstream = Upstream::start(authority, host, move |request| api::open(taken.clone(), request)).await?;
        Ok(Self { upstream, inbox })
    }
}

fn begin_task(running: &Running) -> anyhow::Result<Application> {
    let (token, placeholder) = (random()?, format!("demo_key_{}", random()?));
    running.shared.callers.begin(RunningTask::new(
        Task { id: TASK.to_owned(), labels: BTreeMap::from([("kind".to_owned(), "demo".to_owned())]) },
        Secret::new(token.clone().into_bytes()),
        BTreeMap::from([("invoices".to_owned(), Secret::new(placeholder.clone().into_bytes()))]),
    ));
    let address = running.tcp.first().copied().context("no listener")?;
    Application::new(address, &token, &running.ca_pem, placeholder)
}

fn write_policy(folder: &Path, issuer: &Tokens, api: &Server) -> anyhow::Result<PolicyFile> {
    let secret = folder.join("client-secret");
    fs::write(&secret, &issuer.client_secret)?;
    fs::set_permissions(&secret, Permissions::from_mode(0o600))?;
    let text = format!(
        include_str!("policy.yaml.in"),
        issuer = issuer.upstream.url(),
        client_id = CLIENT_ID,
        client_secret = secret.display(),
        api = api.upstream.url(),
    );
    let path = folder.join("keygress.yaml");
    fs::write(&path, &text)?;
    Ok(PolicyFile { path, text })
}

fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).ok().context("no randomness")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
