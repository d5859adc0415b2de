//! Captured connections: clients that know of no proxy, in a network namespace whose rules `keygress net` made.

/// What programs are made of: Python, Node, Go, Java.
mod runtimes;

/// What is refused, and what passes without a name.
mod refusals;

/// `keygress net`, and `TPROXY`.
mod net;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use keygress_tests::alone::alone;
use keygress_tests::client::{OWN_KEY, Reply, bare, curl_reply, output};
use keygress_tests::proxy::{Proxy, binary};
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

use crate::world::policy;

/// The port of the transparent listener; it is the namespace's own.
const PORT: &str = "8788";

/// The mark on what keygress dials.
const MARK: u32 = 0x6b67;

/// The usual world of these tests: rules in force, an upstream, a policy, the proxy behind the rules.
pub(crate) struct Captured {
    pub(crate) echo: Echo,
    pub(crate) key: String,
    pub(crate) proxy: Proxy,
    pub(crate) site: Site,
    keygress: PathBuf,
}

impl Captured {
    /// A world whose rule for the upstream has this `from:`, beside these other rules.
    pub(crate) fn new(from: &str, rules: &str) -> Self {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "echo.test").unwrap();
        let rules = format!("{}{rules}", crate::world::rule(echo.port).replace("from: any", &format!("from: {from}")));
        Self::around(site, echo, &rules)
    }

    /// A world around this upstream, with these rules.
    pub(crate) fn around(site: Site, echo: Echo, rules: &str) -> Self {
        let key = canary().unwrap();
        let me = output(bare("id").arg("-un")).unwrap();
        let workloads = format!(
            "version: 1\nworkloads:\n  me: {{ process: {{ user: {} }} }}\n  nobody: {{ process: {{ user: nobody }} }}\n",
            me.trim()
        );
        let text = policy(&site, &key, rules).replace("version: 1\n", &workloads);
        let proxy = Proxy::start_with(&site, &text, |settings| {
            settings.transparent = ["127.0.0.1", "[::1]"].map(|host| format!("{host}:{PORT}").parse().unwrap()).to_vec();
            settings.mark = Some(MARK);
        })
        .unwrap();
        let keygress = binary().unwrap();
        let world = Self { echo, key, proxy, site, keygress };
        world.net(&["up", "--mark", &MARK.to_string(), "--all-ports"]);
        world
    }

    /// `keygress net`, and what it printed.
    pub(crate) fn net(&self, arguments: &[&str]) -> String {
        output(bare(&self.keygress).arg("net").args(arguments)).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://echo.test:{}{path}", self.echo.port)
    }

    /// A program that trusts the CA, and knows no proxy.
    pub(crate) fn client(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = bare(program);
        for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
            command.env(name, self.ca());
        }
        command
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.site.folder().join("keygress-ca.pem")
    }

    pub(crate) fn curl_command(&self) -> Command {
        let mut command = self.client(tools::program("curl").unwrap());
        command.args(["--silent", "--show-error", "--max-time", "60", "--header", &format!("Authorization: {OWN_KEY}")]);
        command
    }

    pub(crate) fn curl(&self, arguments: &[&str]) -> (Reply, String) {
        curl_reply(self.curl_command().args(arguments)).unwrap()
    }

    /// Asserts that the upstream saw this many requests, each with the credential and nothing of the application's own.
    pub(crate) fn injected(&self, requests: usize) {
        let seen = self.echo.seen();
        assert_eq!(seen.len(), requests, "{seen:?}");
        for one in &seen {
            assert_eq!(one.values("authorization"), [format!("Bearer {}", self.key)], "{one:?}");
            assert!(!format!("{one:?}").contains("own-key"), "{one:?}");
        }
    }
}

/// The script of a client, below `tests/clients`.
pub(crate) fn script(name: &str) -> PathBuf {
    tools::root().join("tests/clients").join(name)
}

#[test]
fn curl_knows_no_proxy() {
    alone("capture::curl_knows_no_proxy", || {
        let world = Captured::new("any", "");
        for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let (reply, spoken) = world.curl(&[flag, &world.url("/hello?page=2")]);
            assert_eq!((reply.status, reply.body.as_str(), spoken.as_str()), (200, "hello\n", version));
            world.curl(&[flag, &world.url("/forbidden")]).0.is_denied().unwrap();
        }
        world.injected(2);
        let record = world.proxy.await_record("\"used\"").unwrap();
        assert!(record.contains("\"transparent\"") && !record.contains(&world.key), "{record}");
    })
    .unwrap();
}

#[test]
fn ipv6_is_captured_too() {
    alone("capture::ipv6_is_captured_too", || {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "six.test").unwrap();
        let rule = crate::world::rule(echo.port).replace("echo.test", "six.test").replace("    credential: key\n", "");
        let world = Captured::around(site, echo, &(crate::world::rule(9) + &rule.replace("  echo:", "  six:")));
        let url = format!("https://six.test:{}/hello", world.echo.port);
        assert_eq!(world.curl(&["--ipv6", &url]).0.status, 200);
        assert_eq!(world.echo.seen().len(), 1);
    })
    .unwrap();
}

#[test]
fn the_caller_is_who_the_kernel_says() {
    alone("capture::the_caller_is_who_the_kernel_says", || {
        let world = Captured::new("[me]", "");
        assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
        world.injected(1);
        let me = rustix::process::getuid().as_raw();
        let record = world.proxy.await_record("\"used\"").unwrap();
        assert!(record.contains(&format!("\"uid\":{me}")), "{record}");
        // Both would listen on the same port, and the kernel would share the connections out between them.
        drop(world);
        let world = Captured::new("[nobody]", "");
        assert!(curl_reply(world.curl_command().arg(world.url("/hello"))).is_err());
        assert!(world.proxy.await_record("caller_not_allowed").is_some());
        world.injected(0);
    })
    .unwrap();
}

/// Where captured connections arrive.
pub(crate) fn listener() -> SocketAddr {
    format!("127.0.0.1:{PORT}").parse().unwrap()
}

/// A trust store for Java that holds this certificate.
pub(crate) fn trust_store(certificate: &Path, folder: &Path) -> PathBuf {
    let store = folder.join("trust.p12");
    let mut keytool = bare(tools::program("keytool").unwrap());
    keytool.args(["-importcert", "-noprompt", "-storetype", "PKCS12", "-storepass", "changeit", "-alias", "keygress", "-file"]);
    output(keytool.arg(certificate).arg("-keystore").arg(&store)).unwrap();
    store
}
