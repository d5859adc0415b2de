use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use socket2::{Domain, Socket, Type};

/// Listeners that the service manager opened before us and holds while we are exchanged (sd_listen_fds(3)): none of the connections that
/// wait in them is lost.
#[derive(Debug, Default)]
pub struct Inherited {
    pub(super) tcp: Vec<TcpListener>,
    pub(super) unix: Vec<UnixListener>,
    /// The one that is named `metrics` (`FileDescriptorName=`).
    pub metrics: Option<TcpListener>,
}

impl Inherited {
    /// Takes them over; none where nobody gave any. Called once in a process.
    ///
    /// # Errors
    /// Where what was given is no listener, or `metrics` is no TCP listener.
    pub fn take() -> io::Result<Self> {
        let mut inherited = Self::default();
        for (descriptor, name) in sd_notify::listen_fds_with_names()? {
            // SAFETY: the service manager opened this descriptor for us, and nobody else in this process has it.
            let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
            let refuse = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("the inherited socket `{name}` {why}"));
            if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
                return Err(refuse("is not one that listens for streams"));
            }
            socket.set_nonblocking(true)?;
            let is_unix = socket.domain()? == Domain::UNIX;
            match (is_unix, name.as_str()) {
                (true, "metrics") => return Err(refuse("is for health and metrics, which are served over TCP")),
                (true, _) => inherited.unix.push(socket.into()),
                (false, "metrics") => inherited.metrics = Some(socket.into()),
                (false, _) => inherited.tcp.push(socket.into()),
            }
        }
        Ok(inherited)
    }

    /// The TCP addresses on which callers come in.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}
