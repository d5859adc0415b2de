//! OpenBao itself, unsealed and in memory: HTTP for its own command line, TLS besides, where it asks for client certificates.

use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};

use super::nginx::free_port;
use crate::client::bare;
use crate::process::Process;
use crate::site::{Site, Validity, canary};
use crate::tools;

/// The name in its certificate: providers resolve it themselves.
pub const HOST: &str = "localhost";

/// What the policy `app` allows.
const POLICY: &str = r#"
path "secret/data/*" { capabilities = ["read"] }
path "kv/*" { capabilities = ["read"] }
path "database/creds/readonly" { capabilities = ["read"] }
path "sys/leases/revoke" { capabilities = ["update"] }
path "pki/sign/client" { capabilities = ["update"] }
path "pki/revoke" { capabilities = ["update"] }
"#;

/// A running OpenBao with the policy `app`, the key-value engines `secret` (version 2) and `kv` (version 1), and the logins `approle`,
/// `jwt` and `cert`.
pub struct OpenBao {
    port: u16,
    tls_port: u16,
    root: String,
    _process: Process,
}

impl OpenBao {
    /// Starts it.
    ///
    /// # Errors
    /// Where it cannot be had or started.
    pub fn start(site: &Site) -> Result<Self> {
        let certificate = site.certificate(HOST, Validity::Current)?;
        let (certificate, key) = (site.write("bao.pem", &certificate.certificate)?, site.write("bao-key.pem", &certificate.key)?);
        let root = canary()?;
        let mut last = None;
        // Another process may take a port between our look and its bind.
        for _ in 0..5 {
            let (port, tls_port) = (free_port()?, free_port()?);
            let configuration = format!(
                "disable_mlock = true\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{tls_port}\"\n  tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"\n}}\n",
                certificate.display(),
                key.display()
            );
            let file = site.write("bao.hcl", &configuration)?;
            let mut command = bare(tools::openbao()?);
            command.args(["server", "-dev", "-dev-no-store-token", &format!("-dev-root-token-id={root}")]);
            command.arg(format!("-dev-listen-address=127.0.0.1:{port}")).arg(format!("-config={}", file.display()));
            let process = Process::start(&mut command, "")?;
            match process.wait_for("server started!") {
                Ok(_) => {
                    let bao = Self { port, tls_port, root, _process: process };
                    bao.populate(site)?;
                    return Ok(bao);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("bao")?)
    }

    fn populate(&self, site: &Site) -> Result<()> {
        let policy = site.write("app.hcl", POLICY)?.display().to_string();
        self.run(&["policy", "write", "app", &policy])?;
        self.run(&["secrets", "enable", "-version=1", "kv"])?;
        for method in ["approle", "jwt", "cert"] {
            self.run(&["auth", "enable", method])?;
        }
        self.run(&["write", "auth/approle/role/app", "token_policies=app", "token_ttl=10m"])?;
        let role = self.run(&["read", "-field=role_id", "auth/approle/role/app/role-id"])?;
        let secret = self.run(&["write", "-f", "-field=secret_id", "auth/approle/role/app/secret-id"])?;
        site.write("role-id", &role)?;
        site.write_secret("secret-id", &secret)?;
        Ok(())
    }

    /// Its URL, plain HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its URL over TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("https://{HOST}:{}", self.tls_port)
    }

    /// Runs its command line as root, and returns what it printed.
    ///
    /// # Errors
    /// With what it said, where it failed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command: Command = bare(tools::openbao()?);
        let output = command.args(arguments).env("BAO_ADDR", self.url()).env("BAO_TOKEN", &self.root).output()?;
        ensure!(output.status.success(), "bao {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).map(|text| text.trim().to_owned()).map_err(|_| anyhow!("bao {arguments:?} printed no text"))
    }
}
