//! Who is calling: the list of proofs, one file each. What is returned is proven, never claimed.

use std::cell::OnceCell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use keygress_policy::workload::{Caller, Pod, Process};

/// A local process at the other end of a Unix socket.
pub mod process;

/// The owner of a loopback TCP connection.
pub mod socket_owner;

/// One bounded run of a workload, proven by its token.
pub mod task;

/// The pod that this listener serves, proven by its own service-account token.
pub mod kubernetes;

/// The other end of mutual TLS, proven by its client certificate.
pub mod peer;

/// The holder of a JWT, proven by the keys of its issuer.
pub mod bearer;

/// Where those keys are.
pub mod keys;

/// Verifying a JWT.
mod jwt;

/// The systemd unit or container of a process.
mod cgroup;

/// Names of users.
mod users;

pub use task::{NewTask, RunningTask};

use crate::known::Known;

use peer::Guest;
use socket_owner::{Ends, SocketOwners};
use task::Tasks;
use users::Users;

/// What the kernel tells of a connection, taken when it is accepted.
#[derive(Debug)]
pub enum Peer<'s> {
    /// A TCP connection: their address and ours.
    Tcp {
        /// The caller's end.
        peer: SocketAddr,
        /// Our end.
        local: SocketAddr,
    },
    /// A captured TCP connection: their address, and where they dialled to.
    Captured {
        /// The caller's end.
        peer: SocketAddr,
        /// Where the caller dialled to: its own kernel knows the connection by this.
        original: SocketAddr,
    },
    /// A Unix socket.
    Unix(&'s tokio::net::UnixStream),
}

/// What is proven of a connection, and what more can be found out of it.
#[derive(Clone, Debug, Default)]
pub struct Proven {
    /// What is known at once. Of a process over TCP that is its user: whose socket it is, the kernel says; which process holds it must be
    /// looked for among all of that user's.
    pub caller: Caller,
    /// The name of the peer, where it came to the broker: of its certificate, else of its token.
    pub peer: Option<Arc<str>>,
    /// When its token proves it no more.
    until: Option<SystemTime>,
    /// Its certificate, where it came over mutual TLS.
    guest: Option<Rc<Guest>>,
    /// The two ends of a local TCP connection.
    ends: Option<Ends>,
    /// What was found of it, once somebody asked.
    looked_into: OnceCell<Caller>,
}

impl Proven {
    /// A caller on another host, proven by the certificate of this guest.
    #[must_use]
    pub fn remote(caller: Caller, guest: Option<Rc<Guest>>) -> Self {
        let of_token = || caller.token.as_ref().map(|token| token.name().into());
        let peer = caller.peer.as_ref().map(|peer| peer.name().into()).or_else(of_token);
        Self { caller, peer, guest, ..Self::default() }
    }

    /// The same, for as long as its token proves it.
    #[must_use]
    pub fn until(self, until: SystemTime) -> Self {
        Self { until: Some(until), ..self }
    }

    /// Whether what proved it would still do: asked for every request on a connection that was opened long before.
    ///
    /// # Errors
    /// Where its certificate is taken no more, or its token has expired.
    pub fn is_good(&self) -> Result<(), Unproven> {
        if self.until.is_some_and(|until| until <= SystemTime::now()) {
            return Err(Unproven::BadToken("has expired"));
        }
        self.guest.as_ref().map_or(Ok(()), |guest| guest.is_good())
    }
}

/// Why a caller was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// The kernel could not say whose connection this is.
    NoOwner,
    /// It comes from the UID that keygress runs under.
    SameUid,
    /// It comes over TCP to the listener of a task, and not from the UID that keygress, and so the task, runs under.
    OtherUid,
    /// A task token was presented that no running task has.
    WrongToken,
    /// A task token is needed and none was presented.
    TokenMissing,
    /// It came over mutual TLS and showed no certificate.
    NoCertificate,
    /// It came over mutual TLS, and its certificate proves nothing: it has expired, say.
    BadCertificate(&'static str),
    /// It came to the broker with a token that proves nothing.
    BadToken(&'static str),
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoOwner => "the kernel does not say whose connection this is",
            Self::SameUid => "the caller has the user id of keygress itself",
            Self::OtherUid => "the listener belongs to a task of another user",
            Self::WrongToken => "no running task has this token",
            Self::TokenMissing => "a task token is needed and none was sent",
            Self::NoCertificate => "the caller showed no client certificate, and no token of an issuer that is believed here",
            Self::BadToken(why) => return write!(f, "the token {why}"),
            Self::BadCertificate(why) => return write!(f, "the client certificate {why}"),
        })
    }
}

/// How callers are proven; part of the process configuration.
#[derive(Clone, Debug, Default)]
pub struct Proofs {
    /// Accept callers that have our own UID.
    pub unsafe_same_uid: bool,
    /// The pod that this listener serves, verified at start: [`kubernetes::Verifier`]. Only local callers are of this pod.
    pub pod: Option<Pod>,
    /// Refuse requests that present no task token (`run`). The task is the proof then, so our own UID is no obstacle.
    pub require_task: bool,
}

/// Running tasks and the listener's own proof. Cheap to clone.
#[derive(Clone)]
pub struct Callers(Arc<Inner>);

struct Inner {
    proofs: Proofs,
    tasks: Tasks,
    users: Users,
    owners: SocketOwners,
}

impl Callers {
    /// Starts without tasks.
    #[must_use]
    pub fn new(proofs: Proofs) -> Self {
        Self::knowing(proofs, Arc::default())
    }

    /// The same; what tasks hold is added to what is known.
    #[must_use]
    pub fn knowing(proofs: Proofs, known: Arc<Known>) -> Self {
        Self(Arc::new(Inner { proofs, tasks: Tasks::knowing(known), users: Users::system(), owners: SocketOwners::default() }))
    }

    /// Begins a task: its token admits requests from now on. [`NewTask`] makes one.
    pub fn begin(&self, task: RunningTask) -> Arc<RunningTask> {
        self.0.tasks.begin(task)
    }

    /// Whether a task of this id runs.
    #[must_use]
    pub fn is_running(&self, id: &str) -> bool {
        self.0.tasks.is_running(id)
    }

    /// Ends a task: its token is refused from now on, and [`RunningTask::is_running`] says so to the connections it has.
    pub fn end(&self, id: &str) {
        self.0.tasks.end(id);
    }

    /// The task that has ended, where the proxy credentials of a request are its token.
    #[must_use]
    pub fn ended(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        self.0.tasks.ended(headers)
    }

    /// Proves the owner of a connection once, when it is accepted. `task` is the one that the listener belongs to, which is the
    /// proof then; over TCP, where any user of the machine can connect, only for our own user.
    ///
    /// # Errors
    /// [`Unproven::NoOwner`] where nothing is proven and no task is to prove it; [`Unproven::SameUid`]; [`Unproven::OtherUid`].
    pub fn connection(&self, peer: &Peer<'_>, task: Option<&RunningTask>) -> Result<Proven, Unproven> {
        let proofs = &self.0.proofs;
        if task.is_some_and(RunningTask::has_namespace) {
            return Ok(self.inside());
        }
        let task_bound = task.is_some();
        let ends = match *peer {
            Peer::Unix(_) => None,
            Peer::Tcp { peer, local } => Ends::of_tcp(peer, local),
            Peer::Captured { peer, original } => Some(Ends::of_captured(peer, original)),
        };
        let process = match peer {
            Peer::Unix(stream) => process::of_unix(stream, &self.0.users),
            Peer::Tcp { .. } | Peer::Captured { .. } => ends.and_then(|ends| socket_owner::user(ends, &self.0.users)),
        };
        let proven_by_task = task_bound || proofs.require_task;
        let own = process.as_ref().is_some_and(|process| is_our_own(process.uid));
        match &process {
            None | Some(_) if task_bound && !own && !matches!(peer, Peer::Unix(_)) => Err(Unproven::OtherUid),
            None if !proven_by_task => Err(Unproven::NoOwner),
            Some(_) if own && !proven_by_task && !proofs.unsafe_same_uid => Err(Unproven::SameUid),
            None | Some(_) => {
                // Only a local caller shares our network namespace, hence our pod.
                let pod = process.as_ref().and(proofs.pod.clone());
                Ok(Proven {
                    caller: Caller { process, pod, ..Caller::default() },
                    peer: None,
                    guest: None,
                    until: None,
                    ends,
                    looked_into: OnceCell::new(),
                })
            }
        }
    }

    /// Whoever is in the namespace of a task: our own user, since no other is mapped there.
    fn inside(&self) -> Proven {
        let uid = rustix::process::geteuid().as_raw();
        let user = self.0.users.name(uid);
        let process = Process { uid, gid: None, pid: None, user, unit: None, container: None, executable: None };
        Proven { caller: Caller { process: Some(process), pod: self.0.proofs.pod.clone(), ..Caller::default() }, ..Proven::default() }
    }

    /// The caller with all that can be found out of its process, for a policy that asks: the process that holds the other end of a TCP
    /// connection when it is first asked for, if it is of the user that was proven.
    pub fn look_into<'p>(&self, proven: &'p Proven) -> &'p Caller {
        proven.looked_into.get_or_init(|| {
            let mut caller = proven.caller.clone();
            if let (Some(process), Some(ends)) = (&mut caller.process, proven.ends) {
                self.0.owners.describe(process, ends);
            }
            caller
        })
    }

    /// The task whose token a `Proxy-Authorization: Basic task:TOKEN` or `Bearer TOKEN` header holds. `Ok(None)` where there is none and
    /// none is needed.
    ///
    /// # Errors
    /// [`Unproven::WrongToken`], [`Unproven::TokenMissing`]: answered with 407.
    pub fn task(&self, headers: &HeaderMap) -> Result<Option<Arc<RunningTask>>, Unproven> {
        match self.0.tasks.presented(headers)? {
            None if self.0.proofs.require_task => Err(Unproven::TokenMissing),
            found => Ok(found),
        }
    }
}

/// Whether keygress itself runs under this user id, really or in effect.
fn is_our_own(uid: u32) -> bool {
    uid == rustix::process::getuid().as_raw() || uid == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;

    fn callers(proofs: Proofs) -> Callers {
        Callers::new(proofs)
    }

    fn task() -> RunningTask {
        NewTask::new(Default::default(), []).unwrap().running
    }

    fn pod() -> Pod {
        Pod { namespace: "shop".into(), service_account: "billing".into(), pod: None }
    }

    #[tokio::test]
    async fn our_own_uid_is_refused_unless_told_otherwise() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = Peer::Unix(&ours);
        assert_eq!(callers(Proofs::default()).connection(&peer, None).unwrap_err(), Unproven::SameUid);
        let same = callers(Proofs { unsafe_same_uid: true, ..Proofs::default() }).connection(&peer, None).unwrap();
        assert_eq!(same.caller.process.unwrap().pid, Some(std::process::id()));
        assert!(callers(Proofs { require_task: true, ..Proofs::default() }).connection(&peer, None).is_ok());
        assert!(callers(Proofs::default()).connection(&peer, Some(&task())).is_ok());
    }

    #[tokio::test]
    async fn a_loopback_connection_is_its_owners() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, peer) = listener.accept().await.unwrap();
        let peer = Peer::Tcp { peer, local: ours.local_addr().unwrap() };
        assert_eq!(callers(Proofs::default()).connection(&peer, None).unwrap_err(), Unproven::SameUid);
        let callers = callers(Proofs { unsafe_same_uid: true, pod: Some(pod()), ..Proofs::default() });
        let proven = callers.connection(&peer, None).unwrap();
        assert_eq!(proven.caller.pod, Some(pod()));
        let uid = rustix::process::getuid().as_raw();
        let known = |caller: &Caller| caller.process.as_ref().map(|process| (process.uid, process.pid));
        assert_eq!(known(&proven.caller), Some((uid, None)), "nobody asked for more");
        assert_eq!(known(callers.look_into(&proven)), Some((uid, Some(std::process::id()))));
        drop(theirs);
        assert_eq!(known(callers.look_into(&proven)), Some((uid, Some(std::process::id()))), "looked for once a connection");
    }

    #[test]
    fn a_connection_from_elsewhere_proves_nothing() {
        let peer = Peer::Tcp { peer: "192.0.2.7:4000".parse().unwrap(), local: "192.0.2.1:3128".parse().unwrap() };
        let loose = Proofs { unsafe_same_uid: true, pod: Some(pod()), ..Proofs::default() };
        assert_eq!(callers(loose).connection(&peer, None).unwrap_err(), Unproven::NoOwner);
        let strict = callers(Proofs { require_task: true, pod: Some(pod()), ..Proofs::default() });
        let proven = strict.connection(&peer, None).unwrap();
        assert_eq!((&proven.caller, strict.look_into(&proven)), (&Caller::default(), &Caller::default()));
    }

    #[tokio::test]
    async fn the_listener_of_a_task_is_for_our_own_user() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, peer) = listener.accept().await.unwrap();
        let own = Peer::Tcp { peer, local: ours.local_addr().unwrap() };
        assert!(callers(Proofs::default()).connection(&own, Some(&task())).is_ok());
        let foreign = Peer::Tcp { peer: "192.0.2.7:4000".parse().unwrap(), local: "192.0.2.1:3128".parse().unwrap() };
        assert_eq!(callers(Proofs::default()).connection(&foreign, Some(&task())).unwrap_err(), Unproven::OtherUid);
    }

    #[test]
    fn whoever_is_in_the_namespace_of_a_task_is_our_own_user() {
        let foreign = Peer::Captured { peer: "192.0.2.7:4000".parse().unwrap(), original: "192.0.2.1:443".parse().unwrap() };
        let proven = callers(Proofs::default()).connection(&foreign, Some(&task().in_namespace())).unwrap();
        assert_eq!(proven.caller.process.unwrap().uid, rustix::process::geteuid().as_raw());
    }

    #[test]
    fn a_token_is_missed_only_where_one_is_needed() {
        assert_eq!(callers(Proofs::default()).task(&HeaderMap::new()).map(|task| task.is_none()), Ok(true));
        let strict = callers(Proofs { require_task: true, ..Proofs::default() });
        assert_eq!(strict.task(&HeaderMap::new()).err(), Some(Unproven::TokenMissing));
    }
}
