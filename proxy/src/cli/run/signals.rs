//! Signals for keygress are signals for the command that it wraps.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal};
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind};

/// The signals that are passed through. From [`Signals::listen`] on they no longer end this process.
pub(super) struct Signals {
    interrupt: unix::Signal,
    quit: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    /// Takes the signals over. Called before there is anything that would have to be revoked.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            quit: unix::signal(SignalKind::quit())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hang_up: unix::signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the command and passes signals through until it ends.
    pub(super) async fn wait(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            let signal = tokio::select! {
                status = child.wait() => return status,
                _ = self.interrupt.recv() => Signal::INT,
                _ = self.quit.recv() => Signal::QUIT,
                _ = self.terminate.recv() => Signal::TERM,
                _ = self.hang_up.recv() => Signal::HUP,
            };
            pass(signal, child);
        }
    }
}

/// Passes one signal on. Interrupt and quit typed at a terminal reach the whole foreground group, so the command already has them.
fn pass(signal: Signal, child: &Child) {
    if matches!(signal, Signal::INT | Signal::QUIT) && in_foreground() {
        return;
    }
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let Some(pid) = pid else { return };
    // The command may have ended a moment ago: then there is nobody to tell.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Whether this process is in the foreground group of its terminal.
fn in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}
