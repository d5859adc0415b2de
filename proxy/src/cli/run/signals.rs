//! Signals for keygress are signals for the command that it wraps.

use std::future::poll_fn;
use std::io;
use std::process::ExitStatus;
use std::task::Poll;

use rustix::process::{Pid, Signal};
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind};

/// What is passed through.
const PASSED: [(Signal, SignalKind); 4] = [
    (Signal::INT, SignalKind::interrupt()),
    (Signal::QUIT, SignalKind::quit()),
    (Signal::TERM, SignalKind::terminate()),
    (Signal::HUP, SignalKind::hangup()),
];

/// The signals that are passed through. From [`Signals::listen`] on they no longer end this process.
pub(super) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// Takes the signals over, but for those that whoever started us had ignored (`nohup`): the command is to ignore them too.
    /// Called before there is anything that would have to be revoked.
    pub(super) fn listen() -> io::Result<Self> {
        let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        let taken = PASSED.into_iter().filter(|(_, kind)| ignored & bit(*kind) == 0);
        taken.map(|(signal, kind)| Ok((signal, unix::signal(kind)?))).collect::<io::Result<_>>().map(Self)
    }

    /// Waits for the command and passes signals through until it ends.
    pub(super) async fn wait(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = child.wait() => return status,
                signal = self.next() => pass(signal, child),
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

/// The mask of ignored signals in a `/proc/PID/status`.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

fn bit(kind: SignalKind) -> u64 {
    u32::try_from(kind.as_raw_value() - 1).ok().and_then(|place| 1_u64.checked_shl(place)).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let mask = ignored("Name:\tsh\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n");
        assert_eq!(mask & bit(SignalKind::hangup()), 1);
        assert_eq!(mask & bit(SignalKind::terminate()), 0);
        assert_eq!(mask & bit(SignalKind::pipe()), 1 << 12);
        assert_eq!(ignored(""), 0);
    }
}
