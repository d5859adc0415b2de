//! GitHub as the npm package `emulate` has it: one App, installed for `acme`, which has the private repositories `site` and `secrets`.
//!
//! It verifies the App's proof and holds installation tokens to their repositories and permissions. It knows no `DELETE /installation/token`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::process::Process;
use crate::site::Site;
use crate::tools;

/// A running emulator.
pub struct GitHub {
    /// Its port on loopback, plain HTTP.
    pub port: u16,
    /// The private key of its App.
    pub key: PathBuf,
    _process: Process,
}

impl GitHub {
    /// Starts it.
    ///
    /// # Errors
    /// Where Node or the package cannot be had or started.
    pub fn start(site: &Site) -> Result<Self> {
        let settings = json!({ "modules": tools::node_modules()? });
        let mut command = Command::new(tools::node()?);
        command.arg(tools::root().join("tests/servers/github.mjs")).env_remove("NODE_EXTRA_CA_CERTS");
        let process = Process::start(&mut command, &settings.to_string())?;
        let key: String = serde_json::from_str(&process.wait_for("key ")?)?;
        Ok(Self { port: process.port()?, key: site.write_secret("github-app.pem", &key)?, _process: process })
    }
}
