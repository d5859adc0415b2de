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

    /// What came of each of the first `count` requests, in order: `proven TOKEN THUMBPRINT`, `nonce`, or what was wrong. Waits for the last:
    /// its answer may be there before its line.
    ///
    /// # Errors
    /// Where fewer came.
    pub fn asked(&self, count: usize) -> Result<Vec<String>> {
        self.process.wait_for(&format!("asked {count} "))?;
        let lines = self.process.lines();
        Ok(lines.iter().filter_map(|line| Some(line.strip_prefix("asked ")?.split_once(' ')?.1.to_owned())).collect())
    }
}
