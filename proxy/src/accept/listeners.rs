use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Inherited;
use super::transparent::Capture;
use crate::caller::RunningTask;
use crate::caller::peer::Peers;

/// Who connects to a TCP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Callers of this host.
    Plain,
    /// Callers that the kernel brings.
    Captured(Capture),
    /// Peers over mutual TLS.
    Mutual,
}

/// Where to listen.
#[derive(Clone, Default)]
pub struct Listen {
    /// TCP addresses; port 0 takes a free one.
    pub tcp: Vec<SocketAddr>,
    /// TCP addresses for captured connections, and how the kernel brings them.
    pub captured: Vec<(SocketAddr, Capture)>,
    /// TCP addresses for peers over mutual TLS.
    pub mutual: Vec<SocketAddr>,
    /// Proves those peers.
    pub peers: Option<Arc<Peers>>,
    /// Unix socket paths; what is reachable is decided by the folder's mode.
    pub unix: Vec<PathBuf>,
    /// Worker threads, one runtime each; at least one.
    pub workers: usize,
    /// How long what is ready may wait for its turn on a worker before requests are refused. Zero: as long as it takes.
    pub overload_delay: Duration,
    /// The task to which everything on these listeners belongs: for clients that cannot send a token.
    pub task: Option<Arc<RunningTask>>,
}

/// The listeners of one worker.
#[derive(Default)]
pub(super) struct Doors {
    pub(super) tcp: Vec<(TcpListener, Kind)>,
    pub(super) unix: Vec<std::os::unix::net::UnixListener>,
}

/// Listeners that are open, and not served yet.
pub struct Opened {
    pub(super) doors: Vec<Doors>,
    pub(super) tcp: Vec<SocketAddr>,
    pub(super) captured: Vec<SocketAddr>,
    pub(super) mutual: Vec<SocketAddr>,
    pub(super) peers: Option<Arc<Peers>>,
    pub(super) unix: Vec<PathBuf>,
    pub(super) overload_delay: Duration,
}

/// Opens the listeners: what is done before the process gives up opening any.
///
/// # Errors
/// Where an address cannot be bound.
pub fn open(listen: &Listen) -> io::Result<Opened> {
    let count = listen.workers.max(1);
    let mut doors: Vec<Doors> = (0..count).map(|_| Doors::default()).collect();
    let mut open = |asked: SocketAddr, kind| {
        let mut address = asked;
        for door in &mut doors {
            let listener = bind_tcp(address, kind)?;
            address = listener.local_addr()?;
            door.tcp.push((listener, kind));
        }
        io::Result::Ok(address)
    };
    let bound = listen.tcp.iter().map(|asked| open(*asked, Kind::Plain)).collect::<io::Result<_>>()?;
    let captured = listen.captured.iter().map(|(asked, capture)| open(*asked, Kind::Captured(*capture))).collect::<io::Result<_>>()?;
    let mutual = listen.mutual.iter().map(|asked| open(*asked, Kind::Mutual)).collect::<io::Result<_>>()?;
    for path in &listen.unix {
        let listener = bind_unix(path)?;
        for door in &mut doors {
            door.unix.push(listener.try_clone()?);
        }
    }
    let (peers, unix, overload_delay) = (listen.peers.clone(), listen.unix.clone(), listen.overload_delay);
    Ok(Opened { doors, tcp: bound, captured, mutual, peers, unix, overload_delay })
}

impl Opened {
    /// Listeners that are open already, in the network namespace of a task: one for clients that know of the proxy, and those on which
    /// whatever is dialled there arrives. Their addresses are none of ours.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub fn inside(proxy: TcpListener, captured: Vec<TcpListener>) -> io::Result<Self> {
        let captured = captured.into_iter().map(|listener| (listener, Kind::Captured(Capture::Namespace)));
        let tcp: Vec<_> = std::iter::once((proxy, Kind::Plain)).chain(captured).collect();
        tcp.iter().try_for_each(|(listener, _)| listener.set_nonblocking(true))?;
        let doors = vec![Doors { tcp, unix: Vec::new() }];
        Ok(Self {
            doors,
            tcp: Vec::new(),
            captured: Vec::new(),
            mutual: Vec::new(),
            peers: None,
            unix: Vec::new(),
            overload_delay: Duration::ZERO,
        })
    }

    /// The bound TCP addresses for callers.
    #[must_use]
    pub fn tcp(&self) -> &[SocketAddr] {
        &self.tcp
    }

    /// Serves these too: all workers accept from the one queue of each.
    ///
    /// # Errors
    /// Where no descriptor is left.
    pub fn join(&mut self, inherited: Inherited) -> io::Result<()> {
        self.tcp.extend(inherited.addresses());
        for door in &mut self.doors {
            for listener in &inherited.tcp {
                door.tcp.push((listener.try_clone()?, Kind::Plain));
            }
            for listener in &inherited.unix {
                door.unix.push(listener.try_clone()?);
            }
        }
        Ok(())
    }
}

/// One listener per worker on the same address: the kernel spreads connections, and no accept lock is shared.
fn bind_tcp(address: SocketAddr, kind: Kind) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    if kind == Kind::Captured(Capture::Tproxy) {
        // It holds for IPv6 sockets too.
        socket.set_ip_transparent_v4(true).map_err(|error| io::Error::new(error.kind(), format!("TPROXY needs CAP_NET_ADMIN: {error}")))?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn bind_unix(path: &PathBuf) -> io::Result<std::os::unix::net::UnixListener> {
    // A socket that nobody answers on was left by a process that was killed.
    if std::os::unix::net::UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        std::fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
