//! The usual world of a test: one upstream that remembers, one secret, one policy, the proxy.

use std::process::Command;

use keygress_tests::client::{OWN_KEY, Reply, bare, curl_reply};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

pub(crate) struct World {
    pub(crate) echo: Echo,
    pub(crate) key: String,
    pub(crate) proxy: Proxy,
    pub(crate) site: Site,
}

/// A policy with one static bearer credential, `key`, for `echo.test` and the rules that follow.
pub(crate) fn policy(site: &Site, secret: &str, rules: &str) -> String {
    let file = site.write_secret("key", secret).unwrap();
    format!(
        "version: 1
credentials:
  key:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [echo.test]
rules:
{rules}",
        file.display()
    )
}

/// The rule that puts `key` on what `echo.test` is asked below these paths.
pub(crate) fn rule(port: u16) -> String {
    format!(
        "  echo:
    from: any
    to: https://echo.test:{port}
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello, GET /hello/**, HEAD /hello, GET /events, POST /next, POST /upload, GET /progress/**,
      GET /trailers, GET /ws, POST /mirror, GET /status/**, GET /broken]
    except: [GET /hello/but/not/this]
    credential: key
"
    )
}

impl World {
    pub(crate) fn new() -> Self {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "echo.test").unwrap();
        Self::around(site, echo)
    }

    /// A world around this upstream.
    pub(crate) fn around(site: Site, echo: Echo) -> Self {
        let key = canary().unwrap();
        let proxy = Proxy::start(&site, &policy(&site, &key, &rule(echo.port))).unwrap();
        Self { echo, key, proxy, site }
    }

    /// A URL of the upstream.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://echo.test:{}{path}", self.echo.port)
    }

    /// curl through the proxy, with the application's own worthless key.
    pub(crate) fn curl(&self, arguments: &[&str]) -> (Reply, String) {
        curl_reply(self.curl_command().args(arguments)).unwrap()
    }

    pub(crate) fn curl_command(&self) -> Command {
        let mut command = self.proxy.client(tools::program("curl").unwrap());
        command.args(["--silent", "--show-error", "--max-time", "60", "--header", &format!("Authorization: {OWN_KEY}")]);
        command
    }

    /// curl without any proxy variable: for routes and sockets.
    pub(crate) fn plain_curl(&self, arguments: &[&str]) -> (Reply, String) {
        let mut command = bare(tools::program("curl").unwrap());
        command.args(["--silent", "--show-error", "--max-time", "60", "--header", &format!("Authorization: {OWN_KEY}")]);
        curl_reply(command.args(arguments)).unwrap()
    }

    /// Asserts that the upstream saw this many requests, each with the credential and nothing of the application's own.
    pub(crate) fn injected(&self, requests: usize) {
        let seen = self.echo.seen();
        assert_eq!(seen.len(), requests, "{seen:?}");
        for one in &seen {
            assert_eq!(one.values("authorization"), [format!("Bearer {}", self.key)], "{one:?}");
            assert!(!format!("{one:?}").contains("own-key"), "{one:?}");
            assert!(one.values("proxy-authorization").is_empty(), "{one:?}");
        }
    }
}

/// The terms of a credential that is static, and of one that is not.
pub(crate) const STATIC: &str = "static: { reason: a test, expires: 2099-12-31 }";
pub(crate) const MINTED: &str = "labels: {}";

/// What an upstream sees in `Authorization` of the credential `sourced` from this source, or what the caller is told where there is none.
pub(crate) fn put_on(site: &Site, terms: &str, source: &str, inject: &str) -> Result<String, String> {
    let echo = Echo::start(site, "echo.test").unwrap();
    let proxy = Proxy::start(site, &sourced(terms, source, inject, echo.port)).unwrap();
    let mut curl = proxy.client(tools::program("curl").unwrap());
    let url = format!("https://echo.test:{}/hello", echo.port);
    let reply = curl_reply(curl.args(["--silent", "--show-error", "--max-time", "60", &url])).unwrap().0;
    match echo.seen().first() {
        Some(seen) => Ok(seen.values("authorization").join(" ")),
        None => Err(reply.body),
    }
}

/// A policy with the credential `sourced` for `echo.test`.
pub(crate) fn sourced(terms: &str, source: &str, inject: &str, port: u16) -> String {
    format!(
        "version: 1
credentials:
  sourced:
    owner: tests@example.com
    {terms}
    source: {{ {source} }}
    inject: {inject}
    only_to: [echo.test]
rules:
  echo:
    from: any
    to: https://echo.test:{port}
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello]
    credential: sourced
"
    )
}
