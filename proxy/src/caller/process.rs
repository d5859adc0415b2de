use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use keygress_policy::workload::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::UnixStream;

use super::cgroup;
use super::users::Users;

/// The process that connected a Unix socket (not whoever holds it now: a descriptor may be passed on). `None` where the kernel does
/// not say.
///
/// What is read from `/proc` belongs to that process and to no later one of the same number: its pidfd is held while it is read, and
/// it was alive afterwards. Kernels before 6.5 give no pidfd for a socket; there the process of that number must have the right uid.
pub(super) fn of_unix(stream: &UnixStream, users: &Users) -> Option<Process> {
    let credentials = rustix::net::sockopt::socket_peercred(stream).ok()?;
    let mut process = Process {
        uid: credentials.uid.as_raw(),
        gid: Some(credentials.gid.as_raw()),
        pid: None,
        user: users.name(credentials.uid.as_raw()),
        unit: None,
        container: None,
        executable: None,
    };
    // Number 0 stands for a process of another pid namespace.
    let pid = credentials.pid;
    if pid.as_raw_nonzero().get() > 0
        && let Some(pinned) = pin(stream.as_fd(), pid, process.uid)
    {
        pinned.describe(&mut process);
    }
    Some(process)
}

fn pin(socket: BorrowedFd<'_>, pid: Pid, uid: u32) -> Option<Pinned> {
    match peer_pidfd(socket) {
        Ok(pidfd) => Some(Pinned { pid, pidfd }),
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Pinned::open(pid, uid),
        // It has exited already.
        Err(_) => None,
    }
}

/// A process whose number cannot pass to another while this is held and it lives.
pub(super) struct Pinned {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Pinned {
    /// Pins a process by number, if it has this user id.
    pub(super) fn open(pid: Pid, uid: u32) -> Option<Self> {
        let pinned = Self { pid, pidfd: pidfd_open(pid, PidfdFlags::empty()).ok()? };
        let owner = fs::metadata(pinned.path("")).ok()?.uid();
        (owner == uid && pinned.is_alive()).then_some(pinned)
    }

    /// A path below its folder in `/proc`.
    pub(super) fn path(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.pid.as_raw_nonzero())
    }

    /// Fills in what `/proc` says of it, unless it has exited in the meantime.
    pub(super) fn describe(&self, process: &mut Process) {
        let membership = fs::read_to_string(self.path("cgroup")).map(|text| cgroup::parse(&text)).unwrap_or_default();
        // Reading the link needs the right to trace the process: often nobody has it, hence advisory.
        let executable = fs::read_link(self.path("exe")).ok().and_then(|path| path.into_os_string().into_string().ok());
        if self.is_alive() {
            process.pid = u32::try_from(self.pid.as_raw_nonzero().get()).ok();
            process.unit = membership.unit;
            process.container = membership.container;
            process.executable = executable;
        }
    }

    /// A pidfd is readable once its process has exited.
    pub(super) fn is_alive(&self) -> bool {
        let mut descriptors = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut descriptors, Some(&at_once)) == Ok(0)
    }
}

/// `SO_PEERPIDFD`: a descriptor of the process that connected the socket. rustix has no safe call for it.
fn peer_pidfd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut pidfd: libc::c_int = -1;
    let mut length: libc::socklen_t = size_of::<libc::c_int>().try_into().map_err(io::Error::other)?;
    // SAFETY: the socket is borrowed for the call, and the kernel writes at most `length` bytes, the size of `pidfd`, into `pidfd`.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERPIDFD, (&raw mut pidfd).cast(), &raw mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if pidfd < 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: the call succeeded, so `pidfd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use tokio::net::UnixListener;

    use super::*;

    fn own_pid() -> Pid {
        rustix::process::getpid()
    }

    #[tokio::test]
    async fn a_socket_pair_of_our_own_is_ours() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let process = of_unix(&ours, &Users::system()).unwrap();
        assert_eq!(process.uid, rustix::process::getuid().as_raw());
        assert_eq!(process.gid, Some(rustix::process::getgid().as_raw()));
        assert_eq!(process.pid, Some(std::process::id()));
        assert_eq!(process.executable, std::env::current_exe().unwrap().to_str().map(str::to_owned));
        let expected = cgroup::parse(&fs::read_to_string("/proc/self/cgroup").unwrap());
        assert_eq!((process.unit, process.container), (expected.unit, expected.container));
    }

    #[tokio::test]
    async fn the_one_who_connected_is_found_through_a_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let _theirs = UnixStream::connect(&path).await.unwrap();
        let (ours, _) = listener.accept().await.unwrap();
        assert_eq!(of_unix(&ours, &Users::system()).unwrap().pid, Some(std::process::id()));
    }

    #[test]
    fn a_process_that_exited_is_not_described() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let uid = rustix::process::getuid().as_raw();
        let pinned = Pinned::open(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), uid).unwrap();
        assert!(pinned.is_alive());
        drop(child.stdin.take());
        child.wait().unwrap();
        let mut process = Process { uid, gid: None, pid: None, user: None, unit: None, container: None, executable: None };
        pinned.describe(&mut process);
        assert_eq!((pinned.is_alive(), process.pid, process.executable), (false, None, None));
    }

    #[test]
    fn a_process_of_another_user_is_not_pinned() {
        let uid = rustix::process::getuid().as_raw();
        assert!(Pinned::open(own_pid(), uid).is_some());
        assert!(Pinned::open(own_pid(), uid + 1).is_none());
    }
}
