//! A gRPC server in Python, on the C core that most languages share.

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::process::Process;
use crate::site::{Site, Validity};
use crate::tools;

/// A running gRPC server: `/echo.Echo/Say` answers once, `/echo.Echo/Count` streams, `/echo.Echo/Converse` streams both ways.
pub struct Grpc {
    /// Its port.
    pub port: u16,
    process: Process,
}

impl Grpc {
    /// Starts it.
    ///
    /// # Errors
    /// Where Python or grpcio cannot be had or started.
    pub fn start(site: &Site, host: &str) -> Result<Self> {
        let certificate = site.certificate(host, Validity::Current)?;
        let mut command = Command::new(tools::python()?);
        command.arg("-u").arg(tools::root().join("tests/servers/grpc_server.py"));
        let process = Process::start(&mut command, &json!({ "key": certificate.key, "certificate": certificate.certificate }).to_string())?;
        Ok(Self { port: process.port()?, process })
    }

    /// The `authorization` metadata of each call, in order.
    #[must_use]
    pub fn authorizations(&self) -> Vec<String> {
        self.process.lines().iter().filter_map(|line| line.strip_prefix("authorization ")).map(str::to_owned).collect()
    }
}
