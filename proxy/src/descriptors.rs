//! Descriptors: how many the process may have, and how many callers leave.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Callers leave as many: for files of credentials, names that are resolved, issuers, the audit, the operator.
pub(crate) const RESERVE: u64 = 64;

/// As many of them are there to tell callers that there is no place.
pub(crate) const RESERVE_TO_TELL: u64 = RESERVE / 2;

/// What the process may have, as it stands when the first connection comes.
static LIMIT: LazyLock<u64> = LazyLock::new(|| getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX));

/// Takes as many as the process may have: the lower limit that it starts with is for programs that use `select`.
pub fn raise() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where it cannot be raised there are places for fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// How many were left when this one was opened, at most: the kernel gives the lowest number that is free (POSIX, 2.6 File Descriptor
/// Allocation), so that all below it are taken.
pub(crate) fn left_after(opened: &impl AsFd) -> u64 {
    let number = u64::try_from(opened.as_fd().as_raw_fd()).unwrap_or_default();
    LIMIT.saturating_sub(number + 1)
}
