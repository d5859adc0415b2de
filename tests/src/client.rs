//! Real clients: a program with the environment that a user would give it, and what it printed.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::site::Site;
use crate::tools;

/// No client may take longer than this, in seconds: a stream that is held back ends here.
pub const TIME_MAX: Duration = Duration::from_secs(60);

/// The value that every client sends as its own `Authorization`: it must never arrive.
pub const OWN_KEY: &str = "Bearer own-key-of-the-application";

/// What one request of a client script came to; the script prints it as a line of JSON.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status, or 0 where there was none.
    pub status: u64,
    /// Content type.
    pub content_type: String,
    /// Body as text.
    pub body: String,
}

/// A program with nothing of our environment but what every program needs.
#[must_use]
pub fn bare(program: impl Into<PathBuf>) -> Command {
    let mut command = Command::new(program.into());
    command.env_clear();
    for name in ["PATH", "HOME", "LANG", "GOCACHE", "GOPATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // What `keygress run` keeps is not for the home of whoever runs the tests.
    command.env("XDG_STATE_HOME", tools::folder().join("state"));
    command
}

/// curl straight to an upstream, past the proxy: how tests look behind the scene.
///
/// # Errors
/// Where there is no curl.
pub fn plain_curl(site: &Site, host: &str, port: u16) -> Result<Command> {
    let mut command = bare(tools::program("curl")?);
    command.args(["--silent", "--show-error", "--max-time", "60", "--resolve", &format!("{host}:{port}:127.0.0.1"), "--cacert"]);
    command.arg(site.upstream_ca());
    Ok(command)
}

/// Runs a client to its end.
///
/// # Errors
/// Where it fails; with all that it printed.
pub fn output(command: &mut Command) -> Result<String> {
    let name = format!("{command:?}");
    let Output { status, stdout, stderr } = command.output().with_context(|| name.clone())?;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    ensure!(status.success(), "{name}: {status}\n{stdout}\n{stderr}");
    Ok(stdout.into_owned())
}

/// Runs a client script and reads the replies that it printed.
///
/// # Errors
/// Where it fails, or prints something else.
pub fn replies(command: &mut Command) -> Result<Vec<Reply>> {
    let printed = output(command)?;
    printed.lines().map(|line| reply(line).with_context(|| printed.clone())).collect()
}

fn reply(line: &str) -> Result<Reply> {
    let value: Value = serde_json::from_str(line)?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let status = value.get("status").and_then(Value::as_u64).context("no status")?;
    Ok(Reply { status, content_type: text("type"), body: text("body") })
}

impl Reply {
    /// Fails unless this is a refusal by keygress: 403 with a problem document.
    ///
    /// # Errors
    /// With what it is instead.
    pub fn is_denied(&self) -> Result<()> {
        ensure!(self.status == 403, "not denied: {self:?}");
        ensure!(self.content_type.starts_with("application/problem+json"), "no problem document: {self:?}");
        let problem: Value = serde_json::from_str(&self.body)?;
        ensure!(problem.get("status").and_then(Value::as_u64) == Some(403), "no status in the problem: {self:?}");
        Ok(())
    }
}

/// One connection to the proxy that asks by a route, again and again.
pub struct Kept {
    stream: RefCell<BufReader<TcpStream>>,
    route: String,
}

impl Kept {
    /// Connects.
    ///
    /// # Panics
    /// Where nobody listens.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that cannot connect has failed")]
    pub fn open(address: SocketAddr, route: &str) -> Self {
        let stream = TcpStream::connect(address).expect("nobody listens");
        stream.set_read_timeout(Some(TIME_MAX)).expect("a socket without a timeout");
        Self { stream: RefCell::new(BufReader::new(stream)), route: route.to_owned() }
    }

    /// The status of one GET; its answer is read to the end. 0 where the connection broke off.
    #[must_use]
    pub fn get(&self, path: &str) -> u16 {
        self.asked("GET", path).unwrap_or(0)
    }

    /// The status of one POST without a body.
    #[must_use]
    pub fn post(&self, path: &str) -> u16 {
        self.asked("POST", path).unwrap_or(0)
    }

    fn asked(&self, method: &str, path: &str) -> std::io::Result<u16> {
        let mut stream = self.stream.borrow_mut();
        let request = format!("{method} /{}{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n", self.route);
        stream.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length, mut line) = (0, 0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(0);
            }
            let lower = line.to_ascii_lowercase();
            if let Some(rest) = lower.strip_prefix("http/1.1 ") {
                status = rest.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0);
            } else if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            } else if line == "\r\n" {
                let mut body = vec![0; length];
                return stream.read_exact(&mut body).map(|()| status);
            }
        }
    }
}

/// Runs curl and reads its reply.
///
/// # Errors
/// Where it fails, as it does where there is no response at all.
pub fn curl_reply(command: &mut Command) -> Result<(Reply, String)> {
    let printed = output(command.args(["--write-out", "\n%{http_version} %{http_code} %{content_type}"]))?;
    let (body, last) = printed.rsplit_once('\n').context("curl printed nothing")?;
    let mut words = last.splitn(3, ' ');
    let (version, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let content_type = words.next().unwrap_or_default().to_owned();
    Ok((Reply { status: status.parse()?, content_type, body: body.to_owned() }, version.to_owned()))
}
