//! A broker holds the key: whoever sends through it proves who it is, and for whom it speaks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;

use keygress::config::{Broker, Mutual, Settings, TokenIssuer};
use keygress::identity::Files;
use keygress_policy::destination::Host;
use keygress_tests::client::{OWN_KEY, Reply, curl_reply};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Certificate, Site, Validity, canary};
use keygress_tests::tools;
use serde_json::Value;

/// Peers that speak for others, byte by byte.
mod peers;

/// A key that the sidecar never sees, from the first request to the last.
mod sidecar;

/// Workloads that have a token and no certificate.
mod tokens;

const SIDECAR: &str = "spiffe://example.org/ns/shop/sa/keygress";

/// An API, a broker that holds its key, and the authority that vouches for everybody.
struct World {
    echo: Echo,
    key: String,
    broker: Proxy,
    site: Site,
}

impl World {
    /// A broker with this under `workloads:` and this limit on its rule, if any.
    fn new(workloads: &str, from: &str, more: &str) -> Self {
        Self::believing(workloads, from, more, |_| Vec::new())
    }

    /// The same, with issuers whose tokens are believed.
    fn believing(workloads: &str, from: &str, more: &str, issuers: impl FnOnce(&Site) -> Vec<TokenIssuer>) -> Self {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "echo.test").unwrap();
        let key = canary().unwrap();
        let file = site.write_secret("key", &key).unwrap();
        let policy = format!(
            "version: 1
workloads:
{workloads}
credentials:
  key:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [echo.test]
rules:
  echo:
    from: [{from}]
    to: https://echo.test:{}
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello, HEAD /hello, GET /events, POST /next, POST /mirror, GET /ws, GET /status/**]
    credential: key
{more}",
            file.display(),
            echo.port
        );
        let issuers = issuers(&site);
        let own = files(&site, "broker", &site.certificate("broker.test", Validity::Current).unwrap());
        let broker = Proxy::start_with(&site, &policy, |settings| {
            settings.mutual = Some(Mutual { addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], files: own, issuers });
        });
        Self { echo, key, broker: broker.unwrap(), site }
    }

    /// The usual one: `agent` is what the sidecar calls by that name.
    fn usual() -> Self {
        Self::new(&format!("  agent: {{ mtls: {{ spiffe_id: '{SIDECAR}', workload: agent }} }}"), "agent", "")
    }

    /// How a sidecar with this certificate reaches the broker.
    fn reached_with(&self, certificate: &Certificate) -> Broker {
        let (host, port) = (Host::parse("broker.test").unwrap(), self.broker.mutual().unwrap().port());
        Broker { name: "edge".into(), host, port, spiffe_id: None, files: files(&self.site, "sidecar", certificate) }
    }

    fn svid(&self, validity: Validity) -> Certificate {
        self.site.svid(SIDECAR, validity).unwrap()
    }

    fn sidecar(&self) -> Sidecar {
        Sidecar::through(self.reached_with(&self.svid(Validity::Current)), self.echo.port)
    }

    /// The requests that reached the API, each with the key and nothing of the application's own.
    fn injected(&self, requests: usize) {
        let seen = self.echo.seen();
        assert_eq!(seen.len(), requests, "{seen:?}");
        for one in &seen {
            assert_eq!(one.values("authorization"), [format!("Bearer {}", self.key)], "{one:?}");
            assert!(one.values("proxy-authorization").is_empty() && !format!("{one:?}").contains("own-key"), "{one:?}");
        }
    }
}

/// Puts certificate, key and the authority where both sides read them.
fn files(site: &Site, name: &str, own: &Certificate) -> Files {
    let certificate = site.write(&format!("{name}.pem"), &own.certificate).unwrap();
    Files { certificate, key: site.write_secret(&format!("{name}.key"), &own.key).unwrap(), ca: site.upstream_ca() }
}

/// A keygress beside an application: it has rules, and no credential.
struct Sidecar {
    proxy: Proxy,
    port: u16,
    /// Its folder holds the CA that curl trusts.
    _site: Site,
}

impl Sidecar {
    fn through(broker: Broker, port: u16) -> Self {
        Self::with(broker, port, &format!("  agent: {{ process: {{ uid: {} }} }}", rustix::process::getuid().as_raw()))
    }

    fn with(broker: Broker, port: u16, workloads: &str) -> Self {
        let site = Site::new().unwrap();
        let policy = format!(
            "version: 1
workloads:
{workloads}
rules:
  echo:
    from: [agent]
    to: https://echo.test:{port}
    allow: [GET /hello, HEAD /hello, GET /events, POST /next, POST /mirror, GET /ws, GET /status/**, GET /private]
    via: edge
"
        );
        let proxy = Proxy::start_with(&site, &policy, |settings| knows(settings, broker)).unwrap();
        Self { proxy, port, _site: site }
    }

    fn url(&self, path: &str) -> String {
        format!("https://echo.test:{}{path}", self.port)
    }

    fn curl_command(&self) -> Command {
        let mut curl = self.proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60", "--header", &format!("Authorization: {OWN_KEY}")]);
        curl
    }

    fn curl(&self, path: &str, arguments: &[&str]) -> (Reply, String) {
        curl_reply(self.curl_command().args(arguments).arg(self.url(path))).unwrap()
    }
}

fn knows(settings: &mut Settings, broker: Broker) {
    settings.pins.insert(broker.host.clone(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    settings.brokers = vec![broker];
}

/// The problem document of a refusal: its code, and its sentence.
fn problem(reply: &Reply) -> (String, String) {
    let problem: Value = serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("no problem: {reply:?}"));
    let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    assert!(!text("remedy").is_empty(), "{reply:?}");
    (text("code"), text("detail"))
}

/// The provider that everything here uses.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
