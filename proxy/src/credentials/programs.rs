use std::io::{IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{io, thread};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use zeroize::Zeroizing;

use super::file;

/// The largest output, in bytes.
pub(super) const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Starts the programs of the policy: by itself, or through a process of its own where this one has given up to start any.
#[derive(Clone, Default)]
pub struct Programs(Starts);

#[derive(Clone, Default)]
enum Starts {
    #[default]
    Itself,
    Through(Arc<Spawner>),
}

/// The other end of the process that starts programs, and what it was told that it may start.
struct Spawner {
    /// `None` where there was nothing to start.
    socket: Option<OwnedFd>,
    commands: Vec<Vec<String>>,
}

impl Programs {
    /// Forks a process that can start these commands and no other; it ends with this one. It must be called before there is a second
    /// thread, and before there are secrets.
    ///
    /// # Errors
    /// Where the system has no process or descriptor left.
    pub fn forked(mut commands: Vec<Vec<String>>) -> io::Result<Self> {
        commands.sort();
        commands.dedup();
        if commands.is_empty() {
            return Ok(Self(Starts::Through(Arc::new(Spawner { socket: None, commands }))));
        }
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // SAFETY: there is one thread, as the caller holds, so the child finds no lock taken; it never returns from here.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(ours);
                serve(&theirs, &commands);
                // SAFETY: ends the child without running what the parent registered for its own exit.
                unsafe { libc::_exit(0) }
            }
            _ => Ok(Self(Starts::Through(Arc::new(Spawner { socket: Some(ours), commands })))),
        }
    }

    /// Whether this command can be started at all.
    #[must_use]
    pub fn covers(&self, command: &[String]) -> bool {
        match &self.0 {
            Starts::Itself => true,
            Starts::Through(spawner) => spawner.number(command).is_some(),
        }
    }

    /// Runs a command to its end and returns what it printed. When the future is dropped, its whole process group ends.
    ///
    /// # Errors
    /// Why it could not be started, or how it ended; reads on from its name.
    pub(super) async fn output(&self, command: &[String]) -> Result<Zeroizing<Vec<u8>>, String> {
        let not_started = |error: io::Error| format!("cannot be started: {}", file::words(error.kind()));
        match &self.0 {
            Starts::Itself => {
                let child = prepared(command, Stdio::piped()).and_then(|command| tokio::process::Command::from(command).spawn());
                Running(child.map_err(not_started)?).output().await
            }
            Starts::Through(spawner) => {
                let number = spawner.number(command);
                let number = number.ok_or("was not in the policy when keygress started: start keygress again to allow it")?;
                let (stdout, control) = spawner.ask(number).map_err(not_started)?;
                far(stdout, control).await
            }
        }
    }
}

/// A command that runs without a shell, with nothing of our environment but `PATH` and `HOME`, in a process group of its own so that
/// what it started ends with it.
fn prepared(command: &[String], stdout: Stdio) -> io::Result<Command> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let kept = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(kept).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null()).process_group(0);
    Ok(command)
}

/// A program that this process started. When it is dropped, its whole process group ends.
struct Running(tokio::process::Child);

impl Running {
    async fn output(&mut self) -> Result<Zeroizing<Vec<u8>>, String> {
        let output = match self.0.stdout.take() {
            Some(stdout) => read(stdout).await?,
            None => Zeroizing::default(),
        };
        let status = self.0.wait().await.map_err(|error| format!("cannot be awaited: {}", file::words(error.kind())))?;
        judged(status, output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Until it is awaited its id cannot be another's.
        if let Some(id) = self.0.id() {
            end_group(id);
        }
    }
}

fn end_group(id: u32) {
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(id, Signal::KILL);
    }
}

fn judged(status: ExitStatus, output: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, String> {
    if status.success() {
        return Ok(output);
    }
    let end = status.code().map_or_else(|| "was ended by a signal".to_owned(), |code| format!("ended with exit code {code}"));
    Err(format!("{end}: run it by hand to see why"))
}

async fn read(stream: impl AsyncRead + Unpin) -> Result<Zeroizing<Vec<u8>>, String> {
    // One buffer that never grows, so that no copy of the secret is left behind.
    let mut output = Zeroizing::new(Vec::with_capacity(OUTPUT_BYTES_MAX + 1));
    let mut limited = stream.take(OUTPUT_BYTES_MAX as u64 + 1);
    while limited.read_buf(&mut *output).await.map_err(|_| "could not be read".to_owned())? > 0 {}
    if output.len() > OUTPUT_BYTES_MAX { Err(format!("printed more than {} KiB", OUTPUT_BYTES_MAX / 1024)) } else { Ok(output) }
}

impl Spawner {
    fn number(&self, command: &[String]) -> Option<u32> {
        self.commands.iter().position(|known| known == command).and_then(|number| u32::try_from(number).ok())
    }

    /// Asks for one run: where its output comes from, and what tells its end; closing that ends it.
    fn ask(&self, number: u32) -> io::Result<(OwnedFd, UnixStream)> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let (output, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (control, theirs) = UnixStream::pair()?;
        let passed = [stdout.as_fd(), theirs.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&passed));
        sendmsg(socket, &[IoSlice::new(&number.to_ne_bytes())], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok((output, control))
    }
}

/// How a run ended, as it is passed back: the raw status, or `None` with the kind of error where it did not start.
const STARTED: u8 = 0;
const NOT_STARTED: u8 = 1;

async fn far(stdout: OwnedFd, control: UnixStream) -> Result<Zeroizing<Vec<u8>>, String> {
    let lost = |_| "was lost: the process that starts programs is gone".to_owned();
    let stdout = pipe::Receiver::from_owned_fd(stdout).map_err(lost)?;
    control.set_nonblocking(true).map_err(lost)?;
    let mut control = tokio::net::UnixStream::from_std(control).map_err(lost)?;
    let output = read(stdout).await?;
    let mut end = [0; 5];
    control.read_exact(&mut end).await.map_err(lost)?;
    let [how, code @ ..] = end;
    let code = i32::from_ne_bytes(code);
    if how == NOT_STARTED {
        return Err(format!("cannot be started: {}", file::words(io::Error::from_raw_os_error(code).kind())));
    }
    judged(ExitStatus::from_raw(code), output)
}

/// The process that starts programs: one thread a run. Returns when the other end is gone and everything has ended.
fn serve(socket: &OwnedFd, commands: &[Vec<String>]) {
    alone(socket);
    let mut runs: Vec<JoinHandle<()>> = Vec::new();
    while let Ok(Some((number, stdout, control))) = asked(socket) {
        runs.retain(|run| !run.is_finished());
        if let Some(command) = commands.get(number).cloned() {
            let run = thread::Builder::new().stack_size(128 * 1024).spawn(move || run(&command, stdout, control));
            runs.extend(run.ok());
        }
    }
    for run in runs {
        // One that panicked has dropped its ends: whoever asked is told.
        let _ = run.join();
    }
}

/// Leaves the terminal and every descriptor of keygress but the socket.
fn alone(socket: &OwnedFd) {
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"keygress-spawn");
    if let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    let kept = std::os::fd::AsRawFd::as_raw_fd(socket).unsigned_abs();
    for (first, last) in [(3, kept.saturating_sub(1)), (kept + 1, u32::MAX)] {
        if first <= last {
            // SAFETY: closes numbers that nothing in this process uses: it has just been forked, and owns the socket alone.
            let _ = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
}

/// The next run that is asked for; `None` where the other end is gone.
fn asked(socket: &OwnedFd) -> io::Result<Option<(usize, OwnedFd, UnixStream)>> {
    let mut number = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut number)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes != number.len() {
        return Ok(None);
    }
    let mut passed = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let mut passed = passed.next().into_iter().flatten();
    let (Some(stdout), Some(control)) = (passed.next(), passed.next()) else { return Ok(None) };
    let number = usize::try_from(u32::from_ne_bytes(number)).map_err(io::Error::other)?;
    Ok(Some((number, stdout, control.into())))
}

/// One run: to its end, or to that of the interest in it.
fn run(command: &[String], stdout: OwnedFd, mut control: UnixStream) {
    let end = match prepared(command, stdout.into()).and_then(|mut command| command.spawn()) {
        Err(error) => (NOT_STARTED, error.raw_os_error().unwrap_or(libc::EINVAL)),
        Ok(mut child) => {
            if !ended_first(child.id(), control.as_fd()) {
                end_group(child.id());
            }
            (STARTED, child.wait().map_or(libc::SIGKILL, ExitStatusExt::into_raw))
        }
    };
    let [a, b, c, d] = end.1.to_ne_bytes();
    // Nobody may be there to hear it.
    let _ = control.write_all(&[end.0, a, b, c, d]);
}

/// Waits for the process or for the other end of the control socket; whether it was the process.
fn ended_first(id: u32, control: BorrowedFd<'_>) -> bool {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    let Some(Ok(process)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return false };
    loop {
        let mut descriptors = [PollFd::new(&process, PollFlags::IN), PollFd::new(&control, PollFlags::IN | PollFlags::RDHUP)];
        match poll(&mut descriptors, None) {
            Ok(_) => return descriptors.first().is_some_and(|process| !process.revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
