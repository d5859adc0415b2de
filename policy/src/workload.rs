//! Who calls: attributes that a caller has proven, and the selectors of the policy that recognise them.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What is proven about a caller. Filled by `proxy/src/caller/`, one field a proof; nothing here is a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// A local process, as the kernel names it.
    pub process: Option<Process>,
    /// The pod whose verified token the listener holds, or the caller presented.
    pub pod: Option<Pod>,
    /// The verified token that the caller presented to the broker.
    pub token: Option<Token>,
    /// The other end of a connection over mutual TLS.
    pub peer: Option<Peer>,
    /// The task whose token was presented, or whose listener was used; of a peer, the task that it says to speak for.
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

/// The other end of a connection over mutual TLS, from its verified client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The SPIFFE ID, where the certificate has one.
    pub spiffe_id: Option<String>,
    /// The DNS names of the certificate.
    pub dns_names: Vec<String>,
    /// The workloads that the caller is by the policy of the peer, where it is a keygress that speaks for others and signed that.
    pub workloads: Vec<Arc<str>>,
}

impl Peer {
    /// The one name for it: the SPIFFE ID, else the first DNS name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.spiffe_id.as_ref().or(self.dns_names.first()).map_or("", String::as_str)
    }
}

/// A JWT (RFC 7519) that an issuer gave the caller, verified; never the token itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// Its other claims that are texts, numbers, truth values, or lists of those: every value as its text.
    pub claims: BTreeMap<String, Vec<String>>,
}

impl Token {
    /// The one name for its holder.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} ({})", self.subject, self.issuer)
    }
}

/// One bounded run of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// Identifier, unique for this keygress process.
    pub id: String,
    /// Labels given when the task began.
    pub labels: BTreeMap<String, String>,
}

/// Which of a policy's workloads a caller is: computed once per connection and policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workloads {
    /// Indices into the policy's workloads, ascending.
    pub(crate) ids: Box<[u32]>,
}

/// How a workload is recognised: everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) pod: Option<PodSelector>,
    pub(crate) process: Option<ProcessSelector>,
    pub(crate) peer: Option<PeerSelector>,
    pub(crate) token: Option<TokenSelector>,
    /// Labels that the task must have.
    pub(crate) task: Option<BTreeMap<String, String>>,
}

/// A pod as the policy describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodSelector {
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    pub(crate) pod: Option<String>,
}

/// A process as the policy describes it; at least one attribute other than the executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProcessSelector {
    pub(crate) user: Option<String>,
    pub(crate) uid: Option<u32>,
    pub(crate) unit: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) executable: Option<String>,
}

/// A peer as the policy describes it; exactly one of the two names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerSelector {
    pub(crate) spiffe_id: Option<String>,
    pub(crate) dns_name: Option<String>,
    pub(crate) workload: Option<String>,
}

/// A token as the policy describes it; a subject or at least one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenSelector {
    pub(crate) issuer: String,
    pub(crate) subject: Option<String>,
    pub(crate) claims: BTreeMap<String, String>,
}

impl Selector {
    /// Whether the caller has proven everything that is given. A selector of nothing recognises nobody.
    pub(crate) fn recognises(&self, caller: &Caller) -> bool {
        let given = self.pod.is_some() || self.process.is_some() || self.peer.is_some() || self.token.is_some() || self.task.is_some();
        // What labels a task of a peer has is the peer's word: it counts where the policy names the peer.
        let believed = self.task.is_none() || caller.peer.is_none() || self.peer.is_some();
        given
            && believed
            && self.peer.as_ref().is_none_or(|peer| caller.peer.as_ref().is_some_and(|proven| peer.recognises(proven)))
            && self.token.as_ref().is_none_or(|token| caller.token.as_ref().is_some_and(|proven| token.recognises(proven)))
            && self.pod.as_ref().is_none_or(|pod| caller.pod.as_ref().is_some_and(|proven| pod.recognises(proven)))
            && self.process.as_ref().is_none_or(|process| caller.process.as_ref().is_some_and(|proven| process.recognises(proven)))
            && self.task.as_ref().is_none_or(|labels| caller.task.as_ref().is_some_and(|proven| has_labels(proven, labels)))
    }
}

impl Selector {
    /// Whether it asks for more of a process than its user.
    pub(crate) fn looks_into_processes(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.unit.is_some() || process.container.is_some() || process.executable.is_some())
    }
}

impl PodSelector {
    fn recognises(&self, proven: &Pod) -> bool {
        self.namespace == proven.namespace
            && self.service_account == proven.service_account
            && admits(self.pod.as_ref(), proven.pod.as_ref())
    }
}

impl PeerSelector {
    fn recognises(&self, proven: &Peer) -> bool {
        admits(self.spiffe_id.as_ref(), proven.spiffe_id.as_ref())
            && self.dns_name.as_ref().is_none_or(|name| proven.dns_names.contains(name))
            && self.workload.as_ref().is_none_or(|name| proven.workloads.iter().any(|own| **own == **name))
    }
}

impl TokenSelector {
    fn recognises(&self, proven: &Token) -> bool {
        self.issuer == proven.issuer
            && self.subject.as_ref().is_none_or(|subject| *subject == proven.subject)
            && self.claims.iter().all(|(name, value)| proven.claims.get(name).is_some_and(|values| values.contains(value)))
    }
}

impl ProcessSelector {
    fn recognises(&self, proven: &Process) -> bool {
        self.uid.is_none_or(|uid| uid == proven.uid)
            && admits(self.user.as_ref(), proven.user.as_ref())
            && admits(self.unit.as_ref(), proven.unit.as_ref())
            && admits(self.container.as_ref(), proven.container.as_ref())
            && admits(self.executable.as_ref(), proven.executable.as_ref())
    }
}

fn has_labels(proven: &Task, labels: &BTreeMap<String, String>) -> bool {
    labels.iter().all(|(key, value)| proven.labels.get(key) == Some(value))
}

/// What is not asked for is admitted; what is asked for must be proven.
fn admits(asked: Option<&String>, proven: Option<&String>) -> bool {
    asked.is_none_or(|asked| proven == Some(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> Process {
        Process {
            uid: 7,
            gid: None,
            pid: None,
            user: Some("backup".into()),
            unit: Some("restic.service".into()),
            container: None,
            executable: Some("/bin/restic".into()),
        }
    }

    fn by(user: Option<&str>, uid: Option<u32>, unit: Option<&str>) -> Selector {
        let process = ProcessSelector { user: user.map(Into::into), uid, unit: unit.map(Into::into), container: None, executable: None };
        Selector { process: Some(process), ..Selector::default() }
    }

    #[test]
    fn everything_that_is_given_must_be_proven() {
        let caller = Caller { process: Some(process()), ..Caller::default() };
        assert!(by(Some("backup"), None, None).recognises(&caller));
        assert!(by(Some("backup"), Some(7), Some("restic.service")).recognises(&caller));
        assert!(!by(Some("backup"), Some(8), None).recognises(&caller));
        assert!(!by(Some("backup"), None, Some("other.service")).recognises(&caller));
        assert!(!by(Some("backup"), None, None).recognises(&Caller::default()));
        let unnamed = Caller { process: Some(Process { user: None, ..process() }), ..Caller::default() };
        assert!(!by(Some("backup"), None, None).recognises(&unnamed));
    }

    #[test]
    fn a_user_alone_is_known_without_a_look_at_the_process() {
        assert!(!by(Some("backup"), Some(7), None).looks_into_processes());
        assert!(by(None, Some(7), Some("restic.service")).looks_into_processes());
        assert!(!Selector::default().looks_into_processes());
    }

    #[test]
    fn a_selector_of_two_kinds_needs_both() {
        let labels = BTreeMap::from([("kind".to_owned(), "agent".to_owned())]);
        let selector = Selector { task: Some(labels.clone()), ..by(Some("backup"), None, None) };
        let task = Task { id: "1".into(), labels: labels.into_iter().chain([("more".into(), "x".into())]).collect() };
        assert!(!selector.recognises(&Caller { process: Some(process()), ..Caller::default() }));
        assert!(!selector.recognises(&Caller { task: Some(task.clone()), ..Caller::default() }));
        assert!(selector.recognises(&Caller { process: Some(process()), task: Some(task), ..Caller::default() }));
    }

    fn peer(spiffe_id: Option<&str>, dns_name: Option<&str>, workload: Option<&str>) -> Selector {
        let [spiffe_id, dns_name, workload] = [spiffe_id, dns_name, workload].map(|text| text.map(Into::into));
        Selector { peer: Some(PeerSelector { spiffe_id, dns_name, workload }), ..Selector::default() }
    }

    #[test]
    fn a_peer_is_recognised_by_its_certificate_and_whom_it_speaks_for() {
        let id = "spiffe://example.org/billing";
        let proven = Peer { spiffe_id: Some(id.into()), dns_names: vec!["pod.example.org".into()], workloads: vec!["agent".into()] };
        let caller = Caller { peer: Some(proven), ..Caller::default() };
        assert!(peer(Some(id), None, None).recognises(&caller));
        assert!(peer(None, Some("pod.example.org"), Some("agent")).recognises(&caller));
        assert!(!peer(None, Some("other.example.org"), None).recognises(&caller));
        assert!(!peer(Some("spiffe://example.org/billing/x"), None, None).recognises(&caller));
        assert!(!peer(Some(id), None, Some("billing")).recognises(&caller));
        assert!(!peer(Some(id), None, None).recognises(&Caller::default()));
    }

    #[test]
    fn the_task_of_a_peer_counts_only_where_the_peer_is_named() {
        let labels = BTreeMap::from([("kind".to_owned(), "agent".to_owned())]);
        let task = Some(Task { id: "1".into(), labels: labels.clone() });
        let proven = Peer { spiffe_id: Some("spiffe://example.org/ci".into()), ..Peer::default() };
        let caller = Caller { peer: Some(proven), task, ..Caller::default() };
        assert!(!Selector { task: Some(labels.clone()), ..Selector::default() }.recognises(&caller));
        assert!(Selector { task: Some(labels), ..peer(Some("spiffe://example.org/ci"), None, None) }.recognises(&caller));
    }

    #[test]
    fn a_token_is_recognised_by_its_issuer_and_all_that_is_asked_of_it() {
        let selector = |issuer: &str, subject: Option<&str>, claims: &[(&str, &str)]| Selector {
            token: Some(TokenSelector {
                issuer: issuer.into(),
                subject: subject.map(Into::into),
                claims: claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            }),
            ..Selector::default()
        };
        let claims = [("repository", vec!["acme/app".to_owned()]), ("groups", vec!["dev".to_owned(), "ops".to_owned()])];
        let claims = claims.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
        let token = Token { issuer: "https://login.example.com".into(), subject: "app".into(), claims };
        let caller = Caller { token: Some(token), ..Caller::default() };
        let own = "https://login.example.com";
        assert!(selector(own, Some("app"), &[]).recognises(&caller));
        assert!(selector(own, None, &[("repository", "acme/app"), ("groups", "ops")]).recognises(&caller));
        assert!(!selector("https://other.example.com", Some("app"), &[]).recognises(&caller));
        assert!(!selector(own, Some("app2"), &[]).recognises(&caller));
        assert!(!selector(own, Some("app"), &[("repository", "acme/other")]).recognises(&caller));
        assert!(!selector(own, None, &[("stage", "production")]).recognises(&caller));
        assert!(!selector(own, Some("app"), &[]).recognises(&Caller::default()));
    }

    #[test]
    fn a_pod_is_recognised_by_namespace_and_service_account() {
        let selector = |pod: Option<&str>| Selector {
            pod: Some(PodSelector { namespace: "payments".into(), service_account: "billing".into(), pod: pod.map(Into::into) }),
            ..Selector::default()
        };
        let caller = |namespace: &str, pod: Option<&str>| Caller {
            pod: Some(Pod { namespace: namespace.into(), service_account: "billing".into(), pod: pod.map(Into::into) }),
            ..Caller::default()
        };
        assert!(selector(None).recognises(&caller("payments", Some("a"))));
        assert!(!selector(None).recognises(&caller("other", None)));
        assert!(selector(Some("a")).recognises(&caller("payments", Some("a"))));
        assert!(!selector(Some("a")).recognises(&caller("payments", None)));
        assert!(!Selector::default().recognises(&caller("payments", None)));
    }
}

/// For whom something is held: material, a lease, a connection. Nothing held for one serves another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Everybody: static keys, which are the same for all.
    Shared,
    /// One task.
    Task {
        /// Its id.
        id: std::sync::Arc<str>,
        /// The workload that it is, where the policy knows one.
        workload: Option<std::sync::Arc<str>>,
    },
    /// One workload, outside any task.
    Workload(std::sync::Arc<str>),
}

impl Holder {
    /// The id of its task and the name of its workload, where it has them.
    #[must_use]
    pub fn parts(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Shared => (None, None),
            Self::Task { id, workload } => (Some(id), workload.as_deref()),
            Self::Workload(workload) => (None, Some(workload)),
        }
    }
}
