//! Who is calling: the list of proofs, one file each. What is returned is proven, never claimed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use keygress_policy::material::Secret;
use keygress_policy::workload::{Caller, Pod, Task};

/// What the kernel tells of a connection, taken when it is accepted.
#[derive(Debug)]
pub enum Peer<'s> {
    /// A loopback TCP connection: their address and ours.
    Tcp {
        /// The caller's end.
        peer: SocketAddr,
        /// Our end.
        local: SocketAddr,
    },
    /// A Unix socket.
    Unix(&'s tokio::net::UnixStream),
}

/// A task that runs now: its token admits its requests, its placeholders stand for credentials.
pub struct RunningTask {
    /// Id and labels.
    pub task: Task,
    /// The bearer of this token is the task.
    pub token: Secret,
    /// Credential name → the placeholder that this task holds.
    pub placeholders: BTreeMap<String, Secret>,
}

impl RunningTask {
    /// Whether it has not ended: asked for every request of a connection that was opened under it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        unimplemented!()
    }
}

/// Why a caller was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// The kernel could not say whose connection this is.
    NoOwner,
    /// It comes from the UID that keygress runs under.
    SameUid,
    /// A task token was presented that no running task has.
    WrongToken,
    /// A task token is needed and none was presented.
    TokenMissing,
}

impl std::fmt::Display for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoOwner => "the kernel cannot say whose connection this is",
            Self::SameUid => "the caller runs under the user of keygress itself",
            Self::WrongToken => "the task token is not that of a running task",
            Self::TokenMissing => "a task token is needed here",
        })
    }
}

/// Running tasks and the listener's own proof. Cheap to clone.
#[derive(Clone)]
pub struct Callers {}

/// How callers are proven; part of the process configuration.
#[derive(Clone, Debug, Default)]
pub struct Proofs {
    /// Accept callers that have our own UID.
    pub unsafe_same_uid: bool,
    /// The pod that this listener serves, verified at start.
    pub pod: Option<Pod>,
    /// Refuse requests that present no task token (`run`).
    pub require_task: bool,
}

impl Callers {
    /// Starts without tasks.
    #[must_use]
    pub fn new(proofs: Proofs) -> Self {
        let _ = proofs;
        unimplemented!()
    }

    /// Begins a task.
    pub fn begin(&self, task: RunningTask) -> Arc<RunningTask> {
        let _ = task;
        unimplemented!()
    }

    /// Ends a task: its token is refused from now on.
    pub fn end(&self, id: &str) {
        unimplemented!("{id}")
    }

    /// Proves the owner of a connection once, when it is accepted. `task_bound` says that the listener belongs to one task,
    /// whose caller may have our own UID (`run` is cooperative).
    ///
    /// # Errors
    /// [`Unproven::NoOwner`], [`Unproven::SameUid`].
    pub fn connection(&self, peer: &Peer<'_>, task_bound: bool) -> Result<Caller, Unproven> {
        unimplemented!("{peer:?} {task_bound}")
    }

    /// The task whose token a `Proxy-Authorization: Basic task:TOKEN` or `Bearer TOKEN` header holds. `Ok(None)` where there is none and none is needed.
    ///
    /// # Errors
    /// [`Unproven::WrongToken`], [`Unproven::TokenMissing`]: answered with 407.
    pub fn task(&self, headers: &HeaderMap) -> Result<Option<Arc<RunningTask>>, Unproven> {
        unimplemented!("{headers:?}")
    }
}
