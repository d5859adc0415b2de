//! AWS as moto plays it: IAM, STS, S3, DynamoDB, Secrets Manager and Systems Manager over TLS, every signature verified.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::process::Process;
use crate::site::{Site, Validity};
use crate::tools;

/// The name in its certificate: providers resolve it themselves.
pub const HOST: &str = "localhost";

/// A running moto with the bucket `things`, the table `things`, the secret `prod/login` and the parameter `/prod/key`.
pub struct Moto {
    /// Its port.
    pub port: u16,
    /// The access key id of a user that may do everything.
    pub access_key_id: String,
    /// Its secret access key.
    pub secret_access_key: String,
    /// The ARN of a role that everybody may assume.
    pub role: String,
    /// The ARN of another.
    pub other_role: String,
    process: Process,
}

impl Moto {
    /// Starts it.
    ///
    /// # Errors
    /// Where Python or moto cannot be had or started.
    pub fn start(site: &Site) -> Result<Self> {
        let certificate = site.certificate(HOST, Validity::Current)?;
        let mut command = Command::new(tools::python()?);
        command.arg("-u").arg(tools::root().join("tests/servers/moto_server.py"));
        let settings = json!({
            "key": certificate.key, "certificate": certificate.certificate, "authority": site.upstream_ca(), "folder": site.folder(),
        });
        let process = Process::start(&mut command, &settings.to_string())?;
        let keys: Value = serde_json::from_str(&process.wait_for("keys ")?)?;
        let text = |name: &str| keys.get(name).and_then(Value::as_str).map(str::to_owned).context("a key of moto");
        Ok(Self {
            port: process.port()?,
            access_key_id: text("id")?,
            secret_access_key: text("secret")?,
            role: text("first")?,
            other_role: text("second")?,
            process,
        })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{HOST}:{}", self.port)
    }

    /// What it was asked since it verifies: method, path, `x-amz-content-sha256`, status.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let lines = self.process.lines();
        let strict = lines.iter().position(|line| line.contains("/moto-api/reset-auth")).map_or(0, |at| at + 1);
        lines.iter().skip(strict).filter_map(|line| line.strip_prefix("asked ")).map(str::to_owned).collect()
    }
}
