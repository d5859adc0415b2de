//! Signals for keygress are signals for the command that it wraps.

use std::future::poll_fn;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::task::Poll;

use rustix::process::{Pid, Signal};
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind};

use crate::confine::ignored;

/// What is passed through.
const PASSED: [(Signal, SignalKind); 4] = [
    (Signal::INT, SignalKind::interrupt()),
    (Signal::QUIT, SignalKind::quit()),
    (Signal::TERM, SignalKind::terminate()),
    (Signal::HUP, SignalKind::hangup()),
];

/// How the command is told.
pub(super) enum Passing {
    /// By its process id.
    Directly,
    /// By the first process of its namespace, which reads numbers of signals here.
    Inside(UnixStream),
}

/// The signals that are passed through. From [`Signals::listen`] on they no longer end this process.
pub(super) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// Takes the signals over, but for those that whoever started us had ignored (`nohup`): the command is to ignore them too.
    /// Called before there is anything that would have to be revoked.
    pub(super) fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let taken = PASSED.into_iter().filter(|(_, kind)| !ignored(*kind));
        taken.map(|(signal, kind)| Ok((signal, unix::signal(kind)?))).collect::<io::Result<_>>().map(Self)
    }

    /// Waits for the command and passes signals through until it ends.
    pub(super) async fn wait(&mut self, child: &mut Child, to: &Passing) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = child.wait() => return status,
                signal = self.next() => pass(signal, child, to),
            }
        }
    }

    async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let arrived = self.0.iter_mut().find_map(|(signal, stream)| stream.poll_recv(context).is_ready().then_some(*signal));
            arrived.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Passes one signal on. Interrupt and quit typed at a terminal reach the whole foreground group, so the command already has them.
fn pass(signal: Signal, child: &Child, to: &Passing) {
    if matches!(signal, Signal::INT | Signal::QUIT) && in_foreground() {
        return;
    }
    if let Passing::Inside(stream) = to {
        // The command may have ended a moment ago: then there is nobody to tell.
        let _ = u8::try_from(signal.as_raw()).map(|number| (&*stream).write_all(&[number]));
        return;
    }
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let Some(pid) = pid else { return };
    let _ = rustix::process::kill_process(pid, signal);
}

/// Whether this process is in the foreground group of its terminal.
fn in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}
