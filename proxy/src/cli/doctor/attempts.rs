use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use super::{Finding, Level};

/// Tries, from inside the sandbox, what it must forbid. `elsewhere` is a file of ours that nobody declared.
pub(super) fn all(elsewhere: &Path) -> Finding {
    let tried = [
        ("start another program", refused(Command::new("/proc/self/exe").arg("--version").output())),
        ("read a file elsewhere", refused(std::fs::read(elsewhere))),
        ("open another listener", refused(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))),
        ("read the memory of a process", refused(read_memory())),
    ];
    let succeeded: Vec<_> = tried.iter().filter(|(_, refused)| !refused).map(|(what, _)| *what).collect();
    match succeeded.as_slice() {
        [] => Finding::new("tried", Level::Good, format!("from inside: {}: all refused", tried.map(|(what, _)| what).join(", "))),
        some => Finding::new("tried", Level::Bad, format!("from inside it could {}", some.join(", "))),
    }
}

/// Whether it failed for want of permission; another failure proves nothing.
fn refused<T>(attempt: io::Result<T>) -> bool {
    attempt.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Reads a byte of this very process by the call that reads those of others.
fn read_memory() -> io::Result<()> {
    let (from, mut to) = (1_u8, 0_u8);
    let local = libc::iovec { iov_base: (&raw mut to).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: (&raw const from).cast_mut().cast(), iov_len: 1 };
    // SAFETY: both vectors describe one byte each that lives until the call has returned; the kernel writes to `to` alone.
    let got = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    if got == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
