//! A command that is confined: in namespaces of its own (user, network, mounts, processes, IPC), where keygress is the only way out. Three
//! processes of one binary make it: the run outside, which serves; one that enters the namespaces and opens listeners there; the first
//! process inside, which hides what is secret, gives up its privileges and starts the command.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The run outside: starts the others and takes the listeners over.
mod outside;

/// Enters the namespaces.
mod entry;

/// The first process inside.
mod inside;

/// Loopback, every address on it, and listeners.
mod network;

/// What the command sees of the file system.
mod mounts;

/// What the command cannot ask of the kernel.
mod calls;

/// Answers to questions for names.
mod names;

/// Signals that stay ignored.
mod ignored;

/// What must be hidden, and whether it can be.
mod hidden;

/// Why the kernel refuses, and what to do.
mod remedy;

pub use hidden::Hidden;
pub use ignored::ignored;
pub use network::Listeners;
pub use outside::{Confined, Opening, Unstarted, answer_names, probe};

/// The longest message between the processes, in bytes.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// What the processes inside are to do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Where the proxy listens inside, for clients that know of it.
    pub proxy_port: u16,
    /// Ports of any address on which connections are captured.
    pub captured_ports: Vec<u16>,
    /// Folders of secrets: empty inside.
    pub folders: Vec<PathBuf>,
    /// Single files that are empty inside.
    pub files: Vec<PathBuf>,
    /// PEM bundle and Java trust store that stand in for those of the system; none where the system's stay.
    pub trust: Option<(PathBuf, PathBuf)>,
    /// An empty folder of ours, over which what is needed is mounted.
    pub ground: PathBuf,
    /// Whether to go on where something is missing.
    pub best_effort: bool,
    /// Whether the command may open Unix sockets.
    pub unsafe_unix_sockets: bool,
}

/// What the processes inside tell.
#[derive(Debug, Serialize, Deserialize)]
enum Told {
    /// Something is missing, and the command runs all the same.
    Missing(String),
    /// The command is not started.
    Failed(String),
    /// The command runs.
    Started,
    /// The command could not be started: the number of the error.
    NotStarted(i32),
}

/// The two steps inside, as subcommands that nobody types.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which step.
    #[arg(value_enum)]
    step: Step,
    /// The socket of the run.
    socket: PathBuf,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<std::ffi::OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    Entry,
    Inside,
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Inside => "inside",
        }
    }
}

/// Does the step.
///
/// # Errors
/// Where the run cannot be reached; what else goes wrong is told to it.
pub fn run(args: &Args) -> anyhow::Result<std::process::ExitCode> {
    let control = Control::connect(&args.socket)?;
    match args.step {
        Step::Entry => entry::run(control, &args.socket, &args.command),
        Step::Inside => inside::run(control, &args.command),
    }
}

/// The end of a step: what it gets, and what it tells.
struct Control {
    stream: UnixStream,
    plan: Plan,
}

impl Control {
    fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        let mut line = String::new();
        BufReader::new(io::Read::take(&stream, MESSAGE_BYTES_MAX)).read_line(&mut line)?;
        Ok(Self { stream, plan: serde_json::from_str(&line)? })
    }

    fn tell(&mut self, told: &Told) -> io::Result<()> {
        let mut line = serde_json::to_vec(told)?;
        line.push(b'\n');
        self.stream.write_all(&line)
    }

    /// Goes on without what is missing, where that was wished.
    ///
    /// # Errors
    /// Where it was not.
    fn miss(&mut self, what: String) -> Result<(), String> {
        if !self.plan.best_effort {
            return Err(what);
        }
        self.tell(&Told::Missing(what)).map_err(|error| error.to_string())
    }
}
