use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::{UdpSocket, UnixListener};
use tokio::process::{Child, Command};

use super::network::{self, Listeners};
use super::{MESSAGE_BYTES_MAX, Plan, Step, Told, names};

/// How long a step inside may take.
const STEP_TIME_MAX: Duration = Duration::from_secs(30);

/// A command that is confined and has not begun: its namespaces and listeners are there.
pub struct Opening {
    entry: Child,
    socket: UnixListener,
    plan: Plan,
}

/// A command that runs confined.
pub struct Confined {
    /// The process that entered the namespaces: it ends as the command does.
    pub entry: Child,
    /// Where the numbers of signals go.
    pub signals: UnixStream,
    /// What is missing although it was wanted.
    pub missing: Vec<String>,
}

/// Why a confined command does not run.
#[derive(Debug)]
pub enum Unstarted {
    /// It cannot be confined.
    Refused(String),
    /// The system does not start it.
    NotStarted(io::Error),
}

impl From<String> for Unstarted {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

/// Answers questions for names that come on this socket, until it is aborted.
///
/// # Errors
/// Where the socket cannot be used.
pub fn answer_names(socket: std::net::UdpSocket) -> io::Result<tokio::task::JoinHandle<()>> {
    socket.set_nonblocking(true)?;
    Ok(tokio::spawn(names::answer(UdpSocket::from_std(socket)?)))
}

impl Opening {
    /// Enters the namespaces for this command. `folder` is private and ours.
    ///
    /// # Errors
    /// What is missing, and what to do.
    pub async fn enter(
        folder: &Path,
        plan: Plan,
        command: &[OsString],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<(Self, Listeners), String> {
        let failed = |error: io::Error| format!("it cannot be confined: {error}");
        let path = folder.join("confined.sock");
        let socket = UnixListener::bind(&path).map_err(failed)?;
        let mut entry = Command::new("/proc/self/exe");
        entry.arg0("keygress").args(["confined", Step::Entry.as_str()]).arg(&path).arg("--").args(command);
        prepare(&mut entry);
        let mut entry = entry.kill_on_drop(true).spawn().map_err(failed)?;
        let stream = step(&socket, &mut entry, &plan).await?;
        let listeners = blocking(move || match network::take_over(&stream).map_err(|error| error.to_string())? {
            Some(listeners) => Ok(listeners),
            None => match heard(BufReader::new(stream), Some(b'{'), &mut Vec::new()) {
                Err(Unstarted::Refused(why)) => Err(why),
                Err(Unstarted::NotStarted(error)) => Err(error.to_string()),
                Ok(_) => Err("it has no listeners".to_owned()),
            },
        });
        let listeners = listeners.await?;
        Ok((Self { entry, socket, plan }, listeners))
    }

    /// Starts the command.
    ///
    /// # Errors
    /// Where something is missing inside, or the system does not start it.
    pub async fn start(mut self) -> Result<Confined, Unstarted> {
        let stream = step(&self.socket, &mut self.entry, &self.plan).await?;
        let (stream, missing) = blocking(move || {
            let mut missing = Vec::new();
            heard(BufReader::new(stream), None, &mut missing).map(|stream| (stream, missing))
        })
        .await?;
        Ok(Confined { entry: self.entry, signals: stream, missing })
    }
}

/// The next step inside: it comes, and gets the plan.
async fn step(socket: &UnixListener, entry: &mut Child, plan: &Plan) -> Result<UnixStream, String> {
    let ended = || "the process that enters the namespaces ended without a word".to_owned();
    let stream = tokio::select! {
        accepted = socket.accept() => accepted.map_err(|error| error.to_string())?.0,
        _ = entry.wait() => return Err(ended()),
        () = tokio::time::sleep(STEP_TIME_MAX) => return Err("no process came out of the namespaces in time".to_owned()),
    };
    let given = || {
        let mut stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(STEP_TIME_MAX))?;
        let mut line = serde_json::to_vec(plan)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        io::Result::Ok(stream)
    };
    given().map_err(|error| error.to_string())
}

/// Hears what a step tells, until the command runs. `first` is a byte that was read already.
fn heard(mut lines: BufReader<UnixStream>, first: Option<u8>, missing: &mut Vec<String>) -> Result<UnixStream, Unstarted> {
    let mut line = first.map(|byte| char::from(byte).to_string()).unwrap_or_default();
    loop {
        let read = Read::take(&mut lines, MESSAGE_BYTES_MAX).read_line(&mut line);
        match read
            .map_err(|error| error.to_string())
            .and_then(|_| serde_json::from_str(&line).map_err(|_| "the first process inside ended without a word".to_owned()))?
        {
            Told::Missing(what) => missing.push(what),
            Told::Failed(why) => return Err(Unstarted::Refused(why)),
            Told::NotStarted(number) => return Err(Unstarted::NotStarted(io::Error::from_raw_os_error(number))),
            Told::Started => return Ok(lines.into_inner()),
        }
        line.clear();
    }
}

async fn blocking<T: Send + 'static, E: From<String> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err("a step panicked".to_owned().into()))
}

/// Tries whether a command could be confined here, with one that does nothing; returns what would be missing.
///
/// # Errors
/// Why it cannot be confined at all, and what to do.
pub async fn probe() -> Result<Vec<String>, String> {
    let folder = tempfile::Builder::new().prefix("keygress-probe-").tempdir().map_err(|error| error.to_string())?;
    let ground = folder.path().join("ground");
    std::fs::create_dir(&ground).map_err(|error| error.to_string())?;
    let plan = Plan { proxy_port: 8787, captured_ports: vec![443], ground, best_effort: true, ..Plan::default() };
    let command = ["/proc/self/exe", "--version"].map(OsString::from);
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    };
    let (opening, _listeners) = Opening::enter(folder.path(), plan, &command, quiet).await?;
    match opening.start().await {
        Ok(mut confined) => {
            // How it ends is nobody's concern: that it began is what was asked.
            let _ = confined.entry.wait().await;
            Ok(confined.missing)
        }
        Err(Unstarted::Refused(why)) => Err(why),
        Err(Unstarted::NotStarted(error)) => Err(format!("nothing can be started inside: {error}")),
    }
}
