//! Who calls: attributes that a caller has proven, and the selectors of the policy that recognise them.

use std::collections::BTreeMap;

/// What is proven about a caller. Filled by `proxy/src/caller/`, one field a proof; nothing here is a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// A local process, as the kernel names it.
    pub process: Option<Process>,
    /// The pod whose verified token the listener holds.
    pub pod: Option<Pod>,
    /// The task whose token was presented, or whose listener was used.
    pub task: Option<Task>,
}

/// A local process. `user`, `unit` and `container` are resolved from `uid` and the cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id, where the kernel tells it.
    pub gid: Option<u32>,
    /// Process id, where it is pinned.
    pub pid: Option<u32>,
    /// Name of the user in the password database.
    pub user: Option<String>,
    /// systemd unit, such as `restic.service`.
    pub unit: Option<String>,
    /// Container id (64 hexadecimal digits).
    pub container: Option<String>,
    /// Path of the executable: advisory, never sufficient alone.
    pub executable: Option<String>,
}

/// A Kubernetes pod, from a verified service-account token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Service account.
    pub service_account: String,
    /// Name of the pod, where the token is bound to one.
    pub pod: Option<String>,
}

/// One bounded run of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Identifier, unique for this keygress process.
    pub id: String,
    /// Labels given when the task began.
    pub labels: BTreeMap<String, String>,
}

/// Which of a policy's workloads a caller is: a bit set over the policy's workloads, computed once per connection and policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workloads {
    pub(crate) bits: Box<[u64]>,
}

/// For whom something is held: material, a lease, a connection. Nothing held for one serves another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Everybody: static keys, which are the same for all.
    Shared,
    /// One task.
    Task(std::sync::Arc<str>),
    /// One workload, outside any task.
    Workload(std::sync::Arc<str>),
}
