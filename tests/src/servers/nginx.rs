//! nginx with TLS, HTTP/1.1 and HTTP/2. It compares the credential itself: nobody passes without the right one.

use std::net::TcpListener;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::Process;
use crate::site::{Site, Validity};
use crate::tools;

/// A running nginx.
pub struct Nginx {
    /// Its port.
    pub port: u16,
    process: Process,
}

impl Nginx {
    /// An API that answers 200 `injected` to this `Authorization` value and 401 to every other.
    ///
    /// # Errors
    /// Where nginx cannot be had or started.
    pub fn guarding(site: &Site, host: &str, authorization: &str) -> Result<Self> {
        let check = checking(authorization);
        let answers =
            "location / { if ($verdict != injected) { return 401 \"$verdict\\n\"; } return 200 \"$verdict $server_protocol\\n\"; }";
        Self::start(site, host, &format!("{check} {answers}"))
    }

    /// nginx for one host with these directives at the level of `server`.
    ///
    /// # Errors
    /// Where nginx cannot be had or started.
    pub fn start(site: &Site, host: &str, server: &str) -> Result<Self> {
        let program = tools::program("nginx")?;
        let certificate = site.certificate(host, Validity::Current)?;
        let folder = site.folder().join(format!("nginx-{host}"));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("certificate.pem"), certificate.certificate)?;
        std::fs::write(folder.join("key.pem"), certificate.key)?;
        let mut last = None;
        // Another process may take the port between our look and the bind of nginx; then the next one serves.
        for _ in 0..5 {
            let port = free_port()?;
            std::fs::write(folder.join("nginx.conf"), configuration(port, host, server))?;
            let mut command = Command::new(&program);
            command.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "stderr"]);
            let process = Process::start(&mut command, "")?;
            match process.wait_for("start worker process ") {
                Ok(_) => return Ok(Self { port, process }),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("nginx")?)
    }

    /// What it has logged: one line for each request among others.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.process.lines()
    }
}

/// Directives that set `$verdict` to `injected` for exactly this `Authorization` value. (A `map` would ignore case.)
#[must_use]
pub fn checking(authorization: &str) -> String {
    format!(
        "set $verdict foreign; if ($http_authorization = \"\") {{ set $verdict empty; }} \
         if ($http_authorization = \"{authorization}\") {{ set $verdict injected; }}"
    )
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn configuration(port: u16, host: &str, server: &str) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off; worker_processes 1; pid nginx.pid; error_log stderr notice; {user}
events {{ worker_connections 64; }}
http {{
  access_log /dev/stdout; default_type text/plain;
  client_body_temp_path body; fastcgi_temp_path fastcgi; proxy_temp_path proxy; scgi_temp_path scgi; uwsgi_temp_path uwsgi;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    server_name {host};
    ssl_certificate certificate.pem; ssl_certificate_key key.pem;
    {server}
  }}
}}
"
    )
}
