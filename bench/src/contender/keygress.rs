//! keygress itself, with everything on: caller, policy, injection, header scrub, audit to a file, metrics.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, bail};

use super::{Contender, Entry, Running, Site};
use crate::child;
use crate::load::Way;
use crate::policies::Measured;
use crate::scenario::{Entrance, Shape};

/// How long it may take to come up; a policy of 100,000 rules takes a second.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// The program under test.
#[derive(Clone, Debug)]
pub struct Keygress {
    /// Its executable.
    pub program: PathBuf,
    /// Its name in tables: several settings of it may take turns.
    pub name: String,
    /// Further arguments of `serve`.
    pub arguments: Vec<OsString>,
}

/// What `serve` is started with.
#[derive(Clone, Debug)]
pub struct Launch<'l> {
    /// An empty folder of its own.
    pub folder: &'l Path,
    /// Files and folders of the policy.
    pub policy: &'l Path,
    /// The CA (PEM) of upstreams.
    pub upstream_ca: Option<&'l str>,
    /// The core that it runs on.
    pub core: Option<usize>,
    /// Worker threads.
    pub workers: usize,
}

/// A keygress that runs, and its files.
pub struct Launched {
    /// The process; killed when it is dropped.
    pub running: Running,
    /// Its admin socket.
    pub admin: PathBuf,
    /// Its audit.
    pub audit: PathBuf,
}

impl Keygress {
    /// The program at this path.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program, name: "keygress".to_owned(), arguments: Vec::new() }
    }

    /// Starts `serve` and waits until it listens. Its entry is that of a forward proxy.
    ///
    /// # Errors
    /// Where it does not come up, with what it said.
    pub fn launch(&self, launch: &Launch<'_>) -> anyhow::Result<Launched> {
        let file = |name: &str| launch.folder.join(name);
        let (admin, audit, ca_file) = (file("admin.sock"), file("audit.jsonl"), file("ca.pem"));
        let mut command = Command::new(&self.program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--drain-grace", "1s", "--unsafe-same-uid"]);
        command.arg("--policy").arg(launch.policy).arg("--workers").arg(launch.workers.to_string());
        command.arg("--audit").arg(&audit).arg("--admin-socket").arg(&admin).arg("--ca-file").arg(&ca_file);
        if let Some(pem) = launch.upstream_ca {
            std::fs::write(file("upstream-ca.pem"), pem)?;
            command.arg("--upstream-ca").arg(file("upstream-ca.pem"));
        }
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = child::spawn_on(launch.core, &mut command).with_context(|| format!("cannot start `{}`", self.program.display()))?;
        // From here on it is killed where anything fails.
        let entry = Entry { address: SocketAddr::from(([127, 0, 0, 1], 0)), way: Way::Absolute, trust_pem: String::new() };
        let mut running = Running { entry, child };
        running.entry.address = listening(&mut running.child)?;
        running.entry.trust_pem = std::fs::read_to_string(&ca_file)?;
        Ok(Launched { running, admin, audit })
    }

    /// As a site wants it: a policy of that many rules before that upstream.
    ///
    /// # Errors
    /// As [`Keygress::launch`].
    pub fn launch_at(&self, site: &Site<'_>) -> anyhow::Result<Launched> {
        let upstream = site.upstream.authority();
        self.launch_with(site, &measured(site, &upstream).policy(site.shape.rules))
    }

    /// With these files as the policy.
    ///
    /// # Errors
    /// As [`Keygress::launch`].
    pub fn launch_with(&self, site: &Site<'_>, files: &[String]) -> anyhow::Result<Launched> {
        let policy = site.folder.join("policy");
        write_policy(&policy, files)?;
        let mut launched = self.launch(&Launch {
            folder: site.folder,
            policy: &policy,
            upstream_ca: Some(&site.upstream.ca_pem),
            core: site.core,
            workers: 1,
        })?;
        launched.running.entry.way = match site.shape.entrance {
            Entrance::Plain => Way::Absolute,
            Entrance::Intercept => Way::Connect,
        };
        Ok(launched)
    }
}

impl Contender for Keygress {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn can(&self, _: &Shape) -> Result<(), String> {
        Ok(())
    }

    fn start(&self, site: &Site<'_>) -> anyhow::Result<Running> {
        Ok(self.launch_at(site)?.running)
    }
}

/// What a request through a site finds in its policy: the token from its file, as a bearer token.
#[must_use]
pub fn measured<'s>(site: &Site<'s>, upstream: &'s str) -> Measured<'s> {
    Measured { uid: rustix::process::getuid().as_raw(), upstream, token_file: site.token_file, inject: Some("bearer"), keys: &[] }
}

/// Writes the files of a policy into a folder.
///
/// # Errors
/// Where they cannot be written.
pub fn write_policy(folder: &Path, files: &[String]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (number, text) in files.iter().enumerate() {
        std::fs::write(folder.join(format!("{number}.yaml")), text)?;
    }
    Ok(())
}

/// Reads its log up to where it says that it listens; the rest is read on, so that it never waits for us.
fn listening(child: &mut Child) -> anyhow::Result<SocketAddr> {
    let lines = BufReader::new(child.stderr.take().context("no stderr")?).lines();
    let (sent, log) = channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // Nobody listens any more once it is up.
            let _ = sent.send(line);
        }
    });
    let mut said = Vec::new();
    loop {
        match log.recv_timeout(START_TIME_MAX) {
            Ok(line) => match line.split_once(" listens on ").map(|(_, rest)| rest) {
                Some(rest) => return address(rest).with_context(|| format!("no address in `{line}`")),
                None => said.push(line),
            },
            Err(RecvTimeoutError::Disconnected) => bail!("keygress did not start: {}", said.join("\n")),
            Err(RecvTimeoutError::Timeout) => bail!("keygress does not listen after {START_TIME_MAX:?}: {}", said.join("\n")),
        }
    }
}

fn address(rest: &str) -> Option<SocketAddr> {
    let word = rest.split([',', ' ']).next()?;
    word.trim_end_matches(':').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_banner() {
        let expected = Some(SocketAddr::from(([127, 0, 0, 1], 8787)));
        assert_eq!(address("127.0.0.1:8787: 2 rules, 1 credentials"), expected);
        assert_eq!(address("127.0.0.1:8787, metrics on 127.0.0.1:9: 2 rules"), expected);
        assert_eq!(address("/run/keygress.sock: 2 rules"), None);
    }
}
