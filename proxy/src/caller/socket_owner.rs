use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use arc_swap::ArcSwap;
use keygress_policy::workload::Process;
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use rustix::process::Pid;

use super::process::Pinned;
use super::users::Users;

/// How many processes of one user are searched for a socket.
const PROCESSES_MAX: usize = 1024;

/// How many descriptors are looked at in one search.
const DESCRIPTORS_MAX: usize = 32 * 1024;

/// Room for the kernel's answer about one socket.
const ANSWER_BYTES_MAX: usize = 4096;

/// Any cookie: we know the socket by its addresses.
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// How many users' last callers are remembered.
const REMEMBERED_MAX: usize = 256;

/// Finds who holds the other end of a TCP connection on this machine.
#[derive(Default)]
pub(super) struct SocketOwners {
    /// The process that last held a socket of each user: it is looked at first, since looking at all takes a millisecond on a busy
    /// machine. Never believed: it must hold the new socket too.
    last: ArcSwap<HashMap<u32, Pid>>,
}

/// The two ends of a TCP connection as the caller's own kernel knows it: the caller's, and where that leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    source: SocketAddr,
    destination: SocketAddr,
}

impl Ends {
    /// Of a connection to a listener. `None` where the other end is not on this machine.
    pub(super) fn of_tcp(peer: SocketAddr, local: SocketAddr) -> Option<Self> {
        let (source, destination) = (canonical(peer), canonical(local));
        (source.ip().is_loopback() || source.ip() == destination.ip()).then_some(Self { source, destination })
    }

    /// Of a captured connection: in its own eyes it leads to `original`, and no other machine's connection is in this table.
    pub(super) fn of_captured(peer: SocketAddr, original: SocketAddr) -> Self {
        Self { source: canonical(peer), destination: canonical(original) }
    }
}

/// The user who made the other end of a connection, by the kernel's socket table (sock_diag(7)). `None` where that end is not in this
/// network namespace, or is closed already.
pub(super) fn user(ends: Ends, users: &Users) -> Option<Process> {
    let uid = owner(ends)?.uid;
    Some(Process { uid, gid: None, pid: None, user: users.name(uid), unit: None, container: None, executable: None })
}

impl SocketOwners {
    /// Fills in what is known of the process at the other end. It is one of the user that was proven, and it holds the socket. It is
    /// known only where we may look into that user's processes; a search that grows too long finds none.
    pub(super) fn describe(&self, process: &mut Process, ends: Ends) {
        let owner = owner(ends).filter(|owner| owner.uid == process.uid);
        if let Some(pinned) = owner.and_then(|owner| self.holder(&owner)) {
            pinned.describe(process);
        }
    }

    fn holder(&self, owner: &Owner) -> Option<Pinned> {
        let mut search = Search { wanted: format!("socket:[{}]", owner.inode), uid: owner.uid, descriptors: 0 };
        let last = self.last.load().get(&owner.uid).copied();
        if let Some(pinned) = last.and_then(|pid| search.pin(pid)) {
            return Some(pinned);
        }
        let (pid, pinned) = search.all()?;
        self.last.rcu(|last| {
            let mut last = HashMap::clone(last);
            if last.len() >= REMEMBERED_MAX {
                last.clear();
            }
            last.insert(owner.uid, pid);
            last
        });
        Some(pinned)
    }
}

/// An IPv4 address that a dual-stack socket shows as IPv6 is IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

struct Owner {
    uid: u32,
    inode: u32,
}

thread_local! {
    /// Each worker's own way to the kernel's socket table: to open one costs more than to ask.
    static TABLE: RefCell<Option<Socket>> = const { RefCell::new(None) };
}

/// Who made the other end of a connection.
fn owner(ends: Ends) -> Option<Owner> {
    TABLE.with_borrow_mut(|kept| {
        let table = match kept.take() {
            Some(table) => table,
            None => open().ok()?,
        };
        // Where anything went wrong it is not asked again: what it still holds would be taken for the answer to another question.
        let owner = ask(&table, ends).ok()?;
        *kept = Some(table);
        owner
    })
}

fn open() -> io::Result<Socket> {
    let table = Socket::new(NETLINK_SOCK_DIAG)?;
    table.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    Ok(table)
}

/// Asks the kernel for the one socket with exactly these two ends: theirs, as they see it.
fn ask(table: &Socket, Ends { source, destination }: Ends) -> io::Result<Option<Owner>> {
    let id = SocketId {
        source_port: source.port(),
        destination_port: destination.port(),
        source_address: source.ip(),
        destination_address: destination.ip(),
        interface_id: 0,
        cookie: NO_COOKIE,
    };
    let request = SockDiagMessage::InetRequest(InetRequest {
        family: if matches!(source.ip(), IpAddr::V4(_)) { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: id,
    });
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, request.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    table.send(&bytes, 0)?;
    let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX);
    // The kernel has answered before `send` returns: a worker never waits here.
    table.recv(&mut answer, libc::MSG_DONTWAIT)?;
    let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&answer).map_err(io::Error::other)?;
    let NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(answer)) = answer.payload else { return Ok(None) };
    Ok(is_open_connection(&answer.header, source, destination).then_some(Owner { uid: answer.header.uid, inode: answer.header.inode }))
}

/// The kernel falls back to a listener on that port, and shows sockets that nobody holds (closed, TIME_WAIT) as root's with inode 0:
/// neither says who calls. Nor does one that is only connecting: it would be a later user of a port that the caller has left.
fn is_open_connection(found: &InetResponseHeader, source: SocketAddr, destination: SocketAddr) -> bool {
    let id = &found.socket_id;
    let ends = (
        canonical(SocketAddr::new(id.source_address, id.source_port)),
        canonical(SocketAddr::new(id.destination_address, id.destination_port)),
    );
    let is_connected = matches!(found.state, TCP_ESTABLISHED | TCP_FIN_WAIT1 | TCP_FIN_WAIT2 | TCP_CLOSE_WAIT);
    ends == (source, destination) && is_connected && found.inode != 0
}

/// The search for the process of one user that holds one socket.
struct Search {
    wanted: String,
    uid: u32,
    descriptors: usize,
}

impl Search {
    /// Looks through all processes of the user.
    fn all(&mut self) -> Option<(Pid, Pinned)> {
        let mut processes = 0;
        for entry in fs::read_dir("/proc").ok()?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
            if !entry.metadata().is_ok_and(|metadata| metadata.uid() == self.uid) {
                continue;
            }
            processes += 1;
            if processes > PROCESSES_MAX || self.descriptors > DESCRIPTORS_MAX {
                return None;
            }
            if self.holds(&entry.path().join("fd"))
                && let Some(pinned) = self.pin(pid)
            {
                return Some((pid, pinned));
            }
        }
        None
    }

    /// Pins a process and looks whether it holds the socket, in this order: its number cannot pass on in between.
    fn pin(&mut self, pid: Pid) -> Option<Pinned> {
        let pinned = Pinned::open(pid, self.uid)?;
        let holds = self.holds(Path::new(&pinned.path("fd")));
        (holds && pinned.is_alive()).then_some(pinned)
    }

    fn holds(&mut self, folder: &Path) -> bool {
        let Ok(entries) = fs::read_dir(folder) else { return false };
        entries.flatten().any(|entry| {
            self.descriptors += 1;
            self.descriptors <= DESCRIPTORS_MAX && fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == self.wanted.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::process::{Command, Stdio};

    use super::*;

    fn connected(listen: &str, dial: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(listen).unwrap();
        let theirs = TcpStream::connect((dial, listener.local_addr().unwrap().port())).unwrap();
        let (ours, _) = listener.accept().unwrap();
        (ours, theirs)
    }

    fn of(ours: &TcpStream) -> Option<Process> {
        of_ends(ours.peer_addr().unwrap(), ours.local_addr().unwrap())
    }

    fn of_ends(peer: SocketAddr, local: SocketAddr) -> Option<Process> {
        known_by(&SocketOwners::default(), peer, local)
    }

    fn known_by(owners: &SocketOwners, peer: SocketAddr, local: SocketAddr) -> Option<Process> {
        let ends = Ends::of_tcp(peer, local)?;
        let mut process = user(ends, &Users::system())?;
        assert_eq!(process.pid, None, "the user alone is known at once");
        owners.describe(&mut process, ends);
        Some(process)
    }

    #[test]
    fn a_connection_to_ourselves_is_ours() {
        for (listen, dial) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let (ours, _theirs) = connected(listen, dial);
            let process = of(&ours).unwrap();
            assert_eq!(process.uid, rustix::process::getuid().as_raw(), "{listen}");
            assert_eq!(process.pid, Some(std::process::id()), "{listen}");
        }
    }

    #[test]
    fn who_held_the_last_socket_must_hold_this_one_too() {
        let (ours, _theirs) = connected("127.0.0.1:0", "127.0.0.1");
        let owners = SocketOwners::default();
        let find = || known_by(&owners, ours.peer_addr().unwrap(), ours.local_addr().unwrap()).unwrap().pid;
        let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let wrong = Pid::from_raw(other.id().try_into().unwrap()).unwrap();
        owners.last.store(HashMap::from([(rustix::process::getuid().as_raw(), wrong)]).into());
        assert_eq!(find(), Some(std::process::id()));
        assert_eq!(owners.last.load().values().copied().collect::<Vec<_>>(), [rustix::process::getpid()]);
        assert_eq!(find(), Some(std::process::id()));
        drop(other.stdin.take());
        other.wait().unwrap();
    }

    #[test]
    fn a_caller_that_has_hung_up_is_nobody() {
        let (ours, theirs) = connected("127.0.0.1:0", "127.0.0.1");
        drop(theirs);
        assert_eq!(of(&ours), None);
    }

    #[test]
    fn one_question_after_the_other_has_its_own_answer() {
        let pairs: Vec<_> = (0..4).map(|_| connected("127.0.0.1:0", "127.0.0.1")).collect();
        let asked = |peer, local| owner(Ends::of_tcp(peer, local).unwrap()).map(|owner| u64::from(owner.inode));
        let found = || pairs.iter().map(|(ours, _)| asked(ours.peer_addr().unwrap(), ours.local_addr().unwrap())).collect::<Vec<_>>();
        let expected: Vec<_> = pairs.iter().map(|(_, theirs)| Some(rustix::fs::fstat(theirs).unwrap().st_ino)).collect();
        assert_eq!(found(), expected);
        assert_eq!(asked("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()), None);
        assert_eq!(found(), expected, "a question without an answer leaves nothing behind");
    }

    #[test]
    fn another_users_socket_describes_no_process() {
        let (ours, _theirs) = connected("127.0.0.1:0", "127.0.0.1");
        let ends = Ends::of_tcp(ours.peer_addr().unwrap(), ours.local_addr().unwrap()).unwrap();
        let mut process = user(ends, &Users::system()).unwrap();
        process.uid += 1;
        SocketOwners::default().describe(&mut process, ends);
        assert_eq!(process.pid, None);
    }

    #[test]
    fn a_listener_on_the_callers_port_is_not_the_caller() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        assert_eq!(of_ends(peer, "127.0.0.1:9".parse().unwrap()), None);
    }

    #[test]
    fn a_connection_from_another_machine_has_no_owner_here() {
        assert_eq!(of_ends("192.0.2.1:5".parse().unwrap(), "192.0.2.2:6".parse().unwrap()), None);
    }
}
