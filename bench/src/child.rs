//! Processes of this very program: the upstream and the issuer run apart, so that their CPU time is not the client's.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How this program is started so that it becomes a server: it reads one line of JSON, [`Order`], and runs [`serve`].
#[derive(Clone, Debug)]
pub struct Program {
    /// Program and arguments.
    pub command: Vec<OsString>,
}

/// What a child is to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The upstream.
    Upstream(crate::upstream::Settings),
    /// The issuer.
    Issuer(crate::issuer::Settings),
}

/// A child that serves; it ends with this value, or with us.
#[derive(Debug)]
pub struct Serving {
    child: Child,
    /// It ends when this is closed.
    _lifeline: ChildStdin,
}

impl Program {
    /// This very executable with these arguments.
    ///
    /// # Errors
    /// Where the kernel does not say which file we are.
    pub fn ours(arguments: &[&str]) -> anyhow::Result<Self> {
        let exe = std::env::current_exe().context("which program is this?")?;
        Ok(Self { command: std::iter::once(exe.into_os_string()).chain(arguments.iter().map(OsString::from)).collect() })
    }

    /// Starts it with an order, and waits for its one line of answer.
    ///
    /// # Errors
    /// Where it does not start or does not answer.
    pub fn start<A: DeserializeOwned>(&self, order: &Order) -> anyhow::Result<(Serving, A)> {
        let (program, arguments) = self.command.split_first().context("no program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", program.display()))?;
        let mut lifeline = child.stdin.take().context("no stdin")?;
        let mut stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        writeln!(lifeline, "{}", serde_json::to_string(order)?)?;
        let serving = Serving { child, _lifeline: lifeline };
        let mut answer = String::new();
        stdout.read_line(&mut answer)?;
        let answer = serde_json::from_str(&answer).with_context(|| format!("the server did not start: `{}`", answer.trim()))?;
        Ok((serving, answer))
    }
}

/// Becomes the server that the first line of standard input orders, and serves until standard input ends.
///
/// # Errors
/// Where the order cannot be read or carried out.
pub fn serve() -> anyhow::Result<()> {
    let mut order = String::new();
    std::io::stdin().read_line(&mut order)?;
    let order: Order = serde_json::from_str(&order).context("this serves `keygress bench` alone")?;
    std::thread::spawn(|| {
        // Whoever ordered us is gone: so are we.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    match order {
        Order::Upstream(settings) => {
            pin(settings.core)?;
            crate::upstream::serve(&settings, |up| say(up))
        }
        Order::Issuer(settings) => crate::issuer::serve(&settings, |up| say(up)),
    }
}

fn say(up: &impl Serialize) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(up)?)?)
}

/// Keeps this thread, and the threads and processes that it starts from now on, on one core; on any of them where none is named.
///
/// # Errors
/// Where the machine has no such core.
pub fn pin(core: Option<usize>) -> anyhow::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    match core {
        Some(core) => set.set(core),
        None => (0..rustix::thread::CpuSet::MAX_CPU).for_each(|core| set.set(core)),
    }
    rustix::thread::sched_setaffinity(None, &set).with_context(|| format!("core {core:?}"))
}

/// How many cores this process may run on.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Lets this process, and those that it starts from now on, hold as many descriptors as the machine allows: thousands of connections do.
pub fn raise_descriptor_limit() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    // With fewer the large scenarios say what they miss.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
}

/// Starts a process on one core, all its threads included; on any of them where none is named.
///
/// # Errors
/// Where it cannot be started, or the machine has no such core.
pub fn spawn_on(core: Option<usize>, command: &mut Command) -> anyhow::Result<Child> {
    let Some(core) = core else { return Ok(command.spawn()?) };
    // A child inherits where its parent's thread may run: only then has no thread of it run elsewhere.
    let before = rustix::thread::sched_getaffinity(None)?;
    pin(Some(core))?;
    let child = command.spawn();
    rustix::thread::sched_setaffinity(None, &before)?;
    Ok(child?)
}

impl Serving {
    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that ended by itself is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
