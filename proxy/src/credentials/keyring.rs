use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use keygress_policy::Source as _;
use keygress_policy::name::CredentialName;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fingerprint::Fingerprints;
use super::lease::{REVOCATION_TIME, end_all};
use super::slot::WAIT_MAX;
use super::{Ended, Holder, Slot, Tools};
use crate::audit::{Audit, Event};
use crate::known;
use crate::metrics::Metrics;
use crate::state::Ledger;
use crate::{Credential, Policy};

/// Revocations that run at the same time.
const REVOCATIONS_MAX: usize = 64;

/// Ended tasks that are remembered, so that a late request of one of them gets nothing.
const ENDED_TASKS_MAX: usize = 65_536;

const LEFT_POLICY: &str = "it is no longer in the policy in this form";
const TASK_ENDED: &str = "its task has ended";
const STOPPING: &str = "keygress is stopping";

/// All slots and leases of the process. Cheap to clone.
#[derive(Clone)]
pub struct Credentials {
    core: Arc<Core>,
    table: Arc<Mutex<Table>>,
}

/// What of the credentials is known elsewhere: to a later process, to who reads the audit, to who looks at requests.
pub struct Kept {
    /// Where leases are kept, where they are.
    pub ledger: Option<Ledger>,
    /// The names of secrets.
    pub fingerprints: Fingerprints,
    /// What is recognised where an application sends it; of this process alone.
    pub known: Arc<known::Known>,
}

impl Default for Kept {
    /// Nothing: no value is recognised by another process.
    fn default() -> Self {
        Self { ledger: None, fingerprints: Fingerprints::fresh(), known: Arc::default() }
    }
}

/// What every slot shares.
pub(super) struct Core {
    pub(super) runtime: Handle,
    pub(super) audit: Audit,
    /// Where leases are kept for the process after this one.
    pub(super) ledger: Option<Ledger>,
    pub(super) metrics: Metrics,
    pub(super) tools: Tools,
    pub(super) fingerprints: Fingerprints,
    pub(super) known: Arc<known::Known>,
    /// Turns for revoking.
    pub(super) revocations: Semaphore,
    /// Revocations that nobody waits for yet; the end of the process does.
    background: Mutex<JoinSet<Ended>>,
}

impl Core {
    /// Goes on with this although nobody waits for it.
    pub(super) fn in_background(&self, work: impl Future<Output = Ended> + Send + 'static) {
        let mut background = self.background.lock().unwrap_or_else(PoisonError::into_inner);
        while background.try_join_next().is_some() {}
        background.spawn_on(work, &self.runtime);
    }

    /// Records that something happened at an issuer. It has happened: where the audit refuses, it is told to the log.
    pub(super) async fn record(&self, event: Event) {
        let (kind, lease) = (event.kind, event.lease.clone());
        if let Err(error) = self.audit.durable(event).await {
            tracing::error!(?kind, lease = lease.as_deref(), %error, "the audit could not record the end of a lease");
        }
    }
}

/// Whose slot it is. The definition is part of it, so that a changed credential never uses what the former one left.
#[derive(Clone, PartialEq, Eq, Hash)]
struct SlotKey {
    credential: CredentialName,
    definition: Arc<str>,
    holder: Holder,
}

/// A credential as one policy has it.
struct Known {
    /// Keeps the address from being used again.
    credential: Weak<Credential>,
    definition: Arc<str>,
    standing: Standing,
}

/// What the policies that came into force say of a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// No policy has come into force since a request named it: the request saw one that is still to come.
    New,
    /// One came into force without it, perhaps late, after the request saw the next one. Not a second time.
    Spared,
    /// It is in the policy in force.
    InForce,
    /// It is not.
    Retired,
}

#[derive(Default)]
struct Table {
    slots: HashMap<SlotKey, Arc<Slot>>,
    /// At this size idle slots are looked for.
    sweep_at: usize,
    /// Every credential of a policy that some request may still hold, by address.
    known: HashMap<usize, Known>,
    /// The credentials of the policy in force.
    current: Vec<Arc<Credential>>,
    ended_tasks: HashSet<Arc<str>>,
    ended_order: VecDeque<Arc<str>>,
    stopping: bool,
}

impl Credentials {
    /// Starts empty. Refreshes run on `runtime`, which needs its timers and I/O; `roots` verify the issuers that providers call.
    #[must_use]
    pub fn new(runtime: Handle, audit: Audit, metrics: Metrics, roots: Arc<rustls::RootCertStore>) -> Self {
        Self::with(runtime, (audit, Kept::default()), metrics, Tools::new(roots))
    }

    /// The same, with these tools for the providers, and with what outlives the process.
    #[must_use]
    pub fn with(runtime: Handle, (audit, kept): (Audit, Kept), metrics: Metrics, tools: Tools) -> Self {
        let Kept { ledger, fingerprints, known } = kept;
        let core = Core {
            runtime,
            audit,
            ledger,
            metrics,
            tools,
            fingerprints,
            known,
            revocations: Semaphore::new(REVOCATIONS_MAX),
            background: Mutex::default(),
        };
        Self { core: Arc::new(core), table: Arc::default() }
    }

    /// The slot of a credential for a holder; made on first use. Takes a lock: the connection keeps what it got.
    ///
    /// The slot serves nothing where the task has ended, the credential has left the policy or the process is stopping.
    #[must_use]
    pub fn slot(&self, credential: &Arc<Credential>, holder: Holder) -> Arc<Slot> {
        let mut table = self.table();
        let known = table.known(credential);
        let key = SlotKey { credential: credential.name.clone(), definition: Arc::clone(&known.definition), holder };
        let refused = match &key.holder {
            _ if known.standing == Standing::Retired => Some(LEFT_POLICY),
            _ if table.stopping => Some(STOPPING),
            Holder::Task { id, .. } if table.ended_tasks.contains(id) => Some(TASK_ENDED),
            Holder::Shared | Holder::Task { .. } | Holder::Workload(_) => None,
        };
        if let Some(why) = refused {
            return Slot::new_ended(Arc::clone(credential), key.holder, Arc::clone(&self.core), why);
        }
        if let Some(slot) = table.slots.get(&key) {
            return Arc::clone(slot);
        }
        table.sweep();
        let slot = Slot::new(Arc::clone(credential), key.holder.clone(), Arc::clone(&self.core));
        table.slots.insert(key, Arc::clone(&slot));
        slot
    }

    /// A new policy is in force: slots whose credential left it or changed serve nothing any more and are revoked in the background.
    /// Static credentials are fetched ahead; returns when they are there, or after 5 s.
    ///
    /// Call it after requests see the new policy, so that none of theirs meets a slot that has just ended; at start, before any request.
    pub async fn adopt(&self, policy: &Policy) {
        self.adopt_all(policy.credentials().to_vec()).await;
    }

    pub(super) async fn adopt_all(&self, credentials: Vec<Arc<Credential>>) {
        let statics: Vec<_> = credentials.iter().filter(|credential| credential.source.is_static()).cloned().collect();
        let gone = self.table().adopt(credentials);
        self.core.in_background(self.finish(gone));
        let slots: Vec<_> = statics.iter().map(|credential| self.slot(credential, Holder::Shared)).collect();
        slots.iter().for_each(Slot::begin);
        let all = async {
            for slot in slots {
                // A failure is logged where it happens, and told by `missing`.
                let _ = slot.wait().await;
            }
        };
        let _ = tokio::time::timeout(WAIT_MAX, all).await;
    }

    /// Whether every static credential of the policy in force has a value: part of readiness. Names those that have none.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let statics: Vec<_> = self.table().current.iter().filter(|credential| credential.source.is_static()).cloned().collect();
        let has_none = |credential: &&Arc<Credential>| self.slot(credential, Holder::Shared).ready().is_none();
        statics.iter().filter(has_none).map(|credential| credential.name.to_string()).collect()
    }

    /// How many slots there are.
    #[cfg(test)]
    pub(super) fn slots_held(&self) -> usize {
        self.table().slots.len()
    }

    /// Revokes every lease of a task; its slots serve nothing from the moment of the call, also if the future is dropped. At most 5 s.
    ///
    /// What could not be revoked is tried again in the background until it ends by itself.
    pub fn end_task(&self, task: &str) -> impl Future<Output = Ended> + Send + use<> {
        let ended = self.table().end_task(task);
        let ending = self.core.runtime.spawn(self.finish(ended));
        async { ending.await.unwrap_or_default() }
    }

    /// Revokes everything; nothing is served from the moment of the call, also if the future is dropped. At most 5 s.
    pub fn shut_down(&self) -> impl Future<Output = Ended> + Send + use<> {
        let ended = self.table().stop();
        let deadline = Instant::now() + REVOCATION_TIME;
        let ending = self.core.runtime.spawn(self.finish(ended));
        let core = Arc::clone(&self.core);
        async move {
            let mut background = std::mem::take(&mut *core.background.lock().unwrap_or_else(PoisonError::into_inner));
            let mut sum = ending.await.unwrap_or_default();
            while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, background.join_next()).await {
                sum = sum.and(ended.unwrap_or_default());
            }
            background.detach_all();
            sum
        }
    }

    /// Revokes what ended slots hold, and what a fetch still under way brings them.
    fn finish(&self, slots: Vec<Arc<Slot>>) -> impl Future<Output = Ended> + Send + use<> {
        let core = Arc::clone(&self.core);
        let deadline = Instant::now() + REVOCATION_TIME;
        let held = slots.iter().flat_map(|slot| slot.give_up()).collect();
        async move {
            let late = async {
                for slot in &slots {
                    slot.settled().await;
                }
                let leases = slots.iter().flat_map(|slot| slot.give_up()).collect();
                end_all(leases, Arc::clone(&core), deadline).await
            };
            let (now, late) = tokio::join!(end_all(held, Arc::clone(&core), deadline), late);
            now.and(late)
        }
    }

    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.table().slots.values().cloned().collect()
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ended {
    fn and(self, other: Self) -> Self {
        Self { revoked: self.revoked + other.revoked, dropped: self.dropped + other.dropped, failed: self.failed + other.failed }
    }
}

impl Table {
    fn known(&mut self, credential: &Arc<Credential>) -> &Known {
        self.known.entry(Arc::as_ptr(credential).addr()).or_insert_with(|| Known {
            credential: Arc::downgrade(credential),
            definition: definition(credential),
            standing: Standing::New,
        })
    }

    /// Brings a policy into force and gives back the slots that ended by that.
    fn adopt(&mut self, credentials: Vec<Arc<Credential>>) -> Vec<Arc<Slot>> {
        self.known.retain(|_, known| known.credential.strong_count() > 0);
        let valid: HashSet<Arc<str>> = credentials.iter().map(|credential| Arc::clone(&self.known(credential).definition)).collect();
        let mut spared = HashSet::new();
        for known in self.known.values_mut() {
            known.standing = match known.standing {
                _ if valid.contains(&known.definition) => Standing::InForce,
                Standing::New => Standing::Spared,
                Standing::Spared | Standing::InForce | Standing::Retired => Standing::Retired,
            };
            if known.standing == Standing::Spared {
                spared.insert(Arc::clone(&known.definition));
            }
        }
        self.current = credentials;
        self.end_slots(LEFT_POLICY, |key| !valid.contains(&key.definition) && !spared.contains(&key.definition))
    }

    fn end_task(&mut self, task: &str) -> Vec<Arc<Slot>> {
        let task: Arc<str> = task.into();
        if self.ended_tasks.insert(Arc::clone(&task)) {
            self.ended_order.push_back(Arc::clone(&task));
        }
        if self.ended_order.len() > ENDED_TASKS_MAX
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended_tasks.remove(&oldest);
        }
        self.end_slots(TASK_ENDED, |key| matches!(&key.holder, Holder::Task { id, .. } if *id == task))
    }

    fn stop(&mut self) -> Vec<Arc<Slot>> {
        self.stopping = true;
        self.end_slots(STOPPING, |_| true)
    }

    fn end_slots(&mut self, why: &'static str, which: impl Fn(&SlotKey) -> bool) -> Vec<Arc<Slot>> {
        let ended: Vec<_> = self.slots.extract_if(|key, _| which(key)).map(|(_, slot)| slot).collect();
        ended.iter().for_each(|slot| slot.end(why));
        ended
    }

    /// Forgets slots that nobody holds and that hold nothing, each time their number has doubled.
    fn sweep(&mut self) {
        if self.slots.len() >= self.sweep_at {
            self.slots.retain(|_, slot| Arc::strong_count(slot) > 1 || !slot.is_idle());
            self.sweep_at = (self.slots.len() * 2).max(64);
        }
    }
}

/// Whether what was issued for one credential may be used for the other.
#[must_use]
pub fn is_same(one: &Credential, other: &Credential) -> bool {
    definition(one) == definition(other)
}

/// What makes two credentials the same for a slot: name, source, injection and the last day. Owner and destinations are not among it.
pub(super) fn definition(credential: &Credential) -> Arc<str> {
    format!("{} {:?} {:?} {:?}", credential.name, credential.source, credential.injection, credential.static_terms).into()
}
