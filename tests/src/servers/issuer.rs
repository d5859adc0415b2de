//! The OpenID-certified token issuer `oidc-provider` on Node: its grants and ways to authenticate, introspection, revocation.
//! JWT bearer and token exchange are grants that it lets others add: `tests/servers/issuer.mjs` does, with `jose` for the JWTs.

use std::process::Command;

use anyhow::{Context, Result};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

use crate::client;
use crate::process::Process;
use crate::site::{Site, Validity, canary};
use crate::tools;

/// The name in its certificate: providers resolve it themselves.
pub const HOST: &str = "localhost";

/// A running issuer with one client for each way of proving itself. The files of each are in the site's folder:
///
/// | client | proves itself by | files |
/// |---|---|---|
/// | `basic`, `post` | a secret | |
/// | `key` | a JWT, ES256 | `key.pem` |
/// | `certificate` | a certificate of the site's authority | `certificate.pem`, `certificate-key.pem` |
/// | `self-signed` | a certificate of its own | `self-signed.pem`, `self-signed-key.pem` |
/// | `app` | nothing: a public client that refreshes | `refresh-token` |
///
/// `basic` may also present JWTs that `identity.pem` (ES256) signed, of the issuer `https://keygress.test` for `https://issuer.test`.
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
        let (key, identity) = (signing_key(site, "key.pem")?, signing_key(site, "identity.pem")?);
        let known = site.certificate("client.test", Validity::Current)?;
        let own = KeyPair::generate()?;
        let self_signed = CertificateParams::new(["client.test".to_owned()])?.self_signed(&own)?.pem();
        for (name, text) in [
            ("certificate.pem", &known.certificate),
            ("certificate-key.pem", &known.key),
            ("self-signed.pem", &self_signed),
            ("self-signed-key.pem", &own.serialize_pem()),
        ] {
            site.write_secret(name, text)?;
        }
        let presenting = ["jwt-bearer", "token-exchange"].map(|name| format!("urn:ietf:params:oauth:grant-type:{name}"));
        let settings = json!({
            "modules": tools::node_modules()?, "key": certificate.key, "certificate": certificate.certificate, "ttl": ttl,
            "authority": std::fs::read_to_string(site.upstream_ca())?, "verify": identity,
            "clients": [
                { "id": "basic", "secret": basic_secret, "method": "client_secret_basic",
                  "grants": ["client_credentials", presenting[0], presenting[1]] },
                { "id": "post", "secret": post_secret, "method": "client_secret_post" },
                { "id": "key", "method": "private_key_jwt", "publicKey": key },
                { "id": "certificate", "method": "tls_client_auth", "dnsName": "client.test" },
                { "id": "self-signed", "method": "self_signed_tls_client_auth", "selfSigned": self_signed },
                { "id": "app", "method": "none", "grants": ["authorization_code", "refresh_token"] },
            ],
        });
        let mut command = Command::new(tools::node()?);
        command.arg(tools::root().join("tests/servers/issuer.mjs")).env_remove("NODE_EXTRA_CA_CERTS");
        let process = Process::start(&mut command, &settings.to_string())?;
        site.write_secret("refresh-token", &process.wait_for("refresh-token ")?)?;
        Ok(Self { port: process.port()?, basic_secret, post_secret, process })
    }

    /// Where a path of it is.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.port)
    }

    /// Whom the JWTs that were presented to it stood for, in order.
    #[must_use]
    pub fn subjects(&self) -> Vec<String> {
        self.process.lines().iter().filter_map(|line| Some(line.strip_prefix("subject ")?.to_owned())).collect()
    }

    /// Whether it ended a family of refresh tokens because a used one came again.
    #[must_use]
    pub fn ended_a_family(&self) -> bool {
        self.process.lines().iter().any(|line| line == "family ended")
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
        self.introspected(site, token)?.get("active").and_then(Value::as_bool).context("an introspection response")
    }

    /// What the issuer knows of a token, by RFC 7662.
    ///
    /// # Errors
    /// Where the issuer does not answer.
    pub fn introspected(&self, site: &Site, token: &str) -> Result<Value> {
        let answer = client::plain_curl(site, HOST, self.port)?
            .args(["--user", &format!("basic:{}", self.basic_secret), "--data", &format!("token={token}")])
            .arg(self.url("/token/introspection"))
            .output()?;
        Ok(serde_json::from_slice(&answer.stdout)?)
    }
}

/// Writes a private key into the site's folder and returns the public one, PEM.
fn signing_key(site: &Site, name: &str) -> Result<String> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    site.write_secret(name, &key.serialize_pem())?;
    Ok(key.public_key_pem())
}
