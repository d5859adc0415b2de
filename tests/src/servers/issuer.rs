//! The OpenID-certified token issuer `oidc-provider` on Node: client credentials, introspection, revocation.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::client;
use crate::process::Process;
use crate::site::{Site, Validity, canary};
use crate::tools;

/// The name in its certificate: providers resolve it themselves.
pub const HOST: &str = "localhost";

/// A running issuer with one client for each way of proving itself.
pub struct Issuer {
    /// Its port.
    pub port: u16,
    /// The secret of the client `basic` (`client_secret_basic`).
    pub basic_secret: String,
    /// The secret of the client `post` (`client_secret_post`).
    pub post_secret: String,
    process: Process,
}

impl Issuer {
    /// Starts it; its tokens live for `ttl` seconds.
    ///
    /// # Errors
    /// Where Node or the provider cannot be had or started.
    pub fn start(site: &Site, ttl: u64) -> Result<Self> {
        let certificate = site.certificate(HOST, Validity::Current)?;
        let (basic_secret, post_secret) = (canary()?, canary()?);
        let settings = json!({
            "modules": tools::node_modules()?, "key": certificate.key, "certificate": certificate.certificate, "ttl": ttl,
            "clients": [
                { "id": "basic", "secret": basic_secret, "method": "client_secret_basic" },
                { "id": "post", "secret": post_secret, "method": "client_secret_post" },
            ],
        });
        let mut command = Command::new(tools::node()?);
        command.arg(tools::root().join("tests/servers/issuer.mjs")).env_remove("NODE_EXTRA_CA_CERTS");
        let process = Process::start(&mut command, &settings.to_string())?;
        Ok(Self { port: process.port()?, basic_secret, post_secret, process })
    }

    /// Where a path of it is.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.port)
    }

    /// How many tokens it issued so far.
    #[must_use]
    pub fn issued(&self) -> usize {
        self.process.lines().iter().filter(|line| *line == "issued").count()
    }

    /// Whether a token is active, by RFC 7662.
    ///
    /// # Errors
    /// Where the issuer does not answer.
    pub fn is_active(&self, site: &Site, token: &str) -> Result<bool> {
        let answer = client::plain_curl(site, HOST, self.port)?
            .args(["--user", &format!("basic:{}", self.basic_secret), "--data", &format!("token={token}")])
            .arg(self.url("/token/introspection"))
            .output()?;
        let answer: Value = serde_json::from_slice(&answer.stdout)?;
        answer.get("active").and_then(Value::as_bool).context("an introspection response")
    }
}
