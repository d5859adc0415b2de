//! A resource server on Node that takes tokens bound to a key alone (RFC 9449), as `jose` verifies them.

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::process::Process;
use crate::site::{Site, Validity};
use crate::tools;

/// A running server.
pub struct Resource {
    /// Its port.
    pub port: u16,
    process: Process,
}

impl Resource {
    /// Starts it for this host; it changes its nonce after so many requests that it took.
    ///
    /// # Errors
    /// Where Node or the library cannot be had or started.
    pub fn start(site: &Site, host: &str, nonces: u32) -> Result<Self> {
        let certificate = site.certificate(host, Validity::Current)?;
        let settings =
            json!({ "modules": tools::node_modules()?, "key": certificate.key, "certificate": certificate.certificate, "nonces": nonces });
        let mut command = Command::new(tools::node()?);
        command.arg(tools::root().join("tests/servers/resource.mjs")).env_remove("NODE_EXTRA_CA_CERTS");
        let process = Process::start(&mut command, &settings.to_string())?;
        Ok(Self { port: process.port()?, process })
    }

    /// What came of each request, in order: `proven TOKEN THUMBPRINT`, `nonce`, or what was wrong.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.process.lines().iter().filter_map(|line| Some(line.strip_prefix("asked ")?.to_owned())).collect()
    }
}
