//! What a connection knows of its caller, and keeps from request to request.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use keygress_policy::compile::Lineage;
use keygress_policy::destination::Host;
use keygress_policy::material::Secret;
use keygress_policy::workload::{Holder, Process, Workloads};
use keygress_policy::{Rule, Source as _};

use crate::Credential;
use crate::accept::authority::Authority;
use crate::admission::Admission;
use crate::audit::Audit;
use crate::caller::{Callers, Proven, RunningTask};
use crate::credentials::{Credentials, Slot};
use crate::forward::{Connector, Key, Pool, Shelf, Target, Via};
use crate::known::Known;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::refusal::{Code, Refusal};
use crate::reload::{Live, Snapshot};
use crate::state::Ledger;
use crate::statement::Behalf;
use crate::stops::{Concern, Stops, Tie, Ties};
use crate::telemetry::Traces;
use crate::worker::Counted;

/// How many destinations a connection remembers its way to: under a wildcard there is no end of them.
const SHELVES_MAX: usize = 16;

/// What every connection of the process shares.
pub struct Shared {
    /// The policy in force.
    pub live: Arc<Live>,
    /// Running tasks and proofs.
    pub callers: Callers,
    /// Slots and leases.
    pub credentials: Credentials,
    /// What was suspended or revoked by hand.
    pub stops: Stops,
    /// Where what outlives the process is kept.
    pub ledger: Option<Ledger>,
    /// What is recognised where an application sends it.
    pub known: Arc<Known>,
    /// Rate counters.
    pub limits: Limits,
    /// The audit.
    pub audit: Audit,
    /// The metrics.
    pub metrics: Metrics,
    /// Which requests are traced; `None` where none is.
    pub traces: Option<Traces>,
    /// Mints leaves for interception.
    pub authority: Arc<Authority>,
    /// Makes verified connections to upstreams.
    pub connector: Connector,
}

/// What the connections of one worker share; never crosses a thread.
pub struct Worker {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// Connections to upstreams that this worker keeps.
    pub pool: Pool,
    /// What runs on this worker.
    pub ties: Rc<Ties>,
    /// Whether it takes more.
    pub admission: Rc<Admission>,
}

/// By which way a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Absolute-form, or a base-URL route, on a plain listener.
    Forward,
    /// Inside an intercepted CONNECT.
    Intercept,
    /// On a captured connection, or inside it.
    Transparent,
    /// From a peer, over mutual TLS.
    Mutual,
}

impl Way {
    /// The word for the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Intercept => "intercept",
            Self::Transparent => "transparent",
            Self::Mutual => "mtls",
        }
    }
}

/// One connection from a caller.
pub struct Line {
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// Its way in.
    pub way: Way,
    /// What was proven when it was accepted.
    pub proven: Proven,
    /// Counts as open for as long as anything that came of it.
    counted: Option<Rc<Counted>>,
    sight: RefCell<Option<Rc<Sight>>>,
}

/// How one policy sees this caller: computed once per connection, task and policy generation.
pub struct Sight {
    generation: u64,
    task: Option<Arc<RunningTask>>,
    /// Which of the policy's workloads it is.
    pub workloads: Workloads,
    /// Their names.
    names: Rc<[Arc<str>]>,
    /// The name of the first, for the record.
    pub workload: Option<Arc<str>>,
    /// The id of its process, where it is known.
    pub pid: Option<u32>,
    /// What its process is, by the most telling of what is proven.
    pub process: Option<Arc<str>>,
    lineage: Option<Lineage>,
    /// Its identity: what is held for it is used for nobody else.
    pub holder: Holder,
    slots: RefCell<Vec<(usize, Arc<Slot>)>>,
    shelves: RefCell<Vec<Rc<Shelf>>>,
}

impl Line {
    /// A connection whose caller is proven.
    #[must_use]
    pub fn new(worker: Rc<Worker>, way: Way, proven: Proven) -> Self {
        Self { worker, way, proven, counted: None, sight: RefCell::new(None) }
    }

    /// The connection inside this one, or this one once it counts.
    #[must_use]
    pub fn counting(self, counted: Option<Rc<Counted>>) -> Self {
        Self { counted, ..self }
    }

    /// What a tunnel that comes of it holds until it ends.
    #[must_use]
    pub fn counted(&self) -> Option<Rc<Counted>> {
        self.counted.clone()
    }

    /// What all connections share.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.worker.shared
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.worker.pool
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.worker.shared.connector
    }

    /// Ties a request down, so that it ends when what it concerns is stopped.
    ///
    /// # Errors
    /// Where it is stopped already.
    pub(super) fn tie(
        &self,
        sight: &Sight,
        request: u64,
        (rule, credential): (&Rule, Option<&Arc<Credential>>),
        host: &Host,
    ) -> Result<Tie, Refusal> {
        let tie = self.worker.ties.tie(Concern {
            request,
            generation: sight.generation,
            workloads: Rc::clone(&sight.names),
            task: sight.task.clone(),
            rule: rule.name.shared(),
            credential: credential.cloned(),
            host: host.clone(),
        });
        // Asked after it was tied down: a stop is seen here, or finds it there.
        tie.check(&self.shared().stops)?;
        Ok(tie)
    }

    /// Why a request was ended from outside.
    pub(super) fn ended(&self, sight: &Sight, tie: &Tie) -> Refusal {
        let stopped = tie.check(&self.shared().stops).and_then(|()| sight.still_runs());
        stopped.err().unwrap_or_else(|| Refusal::new(Code::LeftPolicy, "its rule or its credential is no longer in the policy"))
    }

    /// How this policy sees the caller; kept while policy and task stay the same.
    ///
    /// # Errors
    /// [`Code::TaskEnded`].
    pub fn sight(&self, snapshot: &Snapshot, task: Option<Arc<RunningTask>>) -> Result<Rc<Sight>, Refusal> {
        runs(task.as_ref())?;
        let mut kept = self.sight.borrow_mut();
        if let Some(sight) = &*kept
            && sight.generation == snapshot.generation
            && same_task(sight.task.as_ref(), task.as_ref())
        {
            return Ok(sight.clone());
        }
        let sight = Rc::new(self.look(snapshot, task));
        *kept = Some(sight.clone());
        Ok(sight)
    }

    fn look(&self, snapshot: &Snapshot, task: Option<Arc<RunningTask>>) -> Sight {
        let asks = snapshot.policy.looks_into_processes();
        let known = if asks { self.shared().callers.look_into(&self.proven) } else { &self.proven.caller };
        let mut caller = known.clone();
        if let Some(running) = &task {
            caller.task = Some(running.task.clone());
        }
        let workloads = snapshot.policy.recognise(&caller);
        let names: Rc<[Arc<str>]> = snapshot.policy.workload_names(&workloads).map(keygress_policy::name::WorkloadName::shared).collect();
        let workload = names.first().cloned();
        let holder = match (&caller.task, &workload, &caller.process) {
            (Some(task), name, _) => Holder::Task { id: task.id.as_str().into(), workload: name.clone() },
            (None, Some(name), _) => Holder::Workload(name.clone()),
            (None, None, Some(process)) => Holder::Workload(format!("uid {}", process.uid).into()),
            (None, None, None) => Holder::Workload(self.proven.peer.as_ref().map_or("any".into(), |peer| format!("peer {peer}").into())),
        };
        let lineage = snapshot.policy.workload_lineage(&workloads);
        Sight {
            generation: snapshot.generation,
            task,
            workloads,
            names,
            workload,
            pid: caller.process.as_ref().and_then(|process| process.pid),
            process: caller.process.as_ref().map(named),
            lineage,
            holder,
            slots: RefCell::default(),
            shelves: RefCell::default(),
        }
    }
}

impl Sight {
    /// The id of the task.
    #[must_use]
    pub fn task_id(&self) -> Option<&str> {
        match &self.holder {
            Holder::Task { id, .. } => Some(id),
            Holder::Workload(_) | Holder::Shared => None,
        }
    }

    /// The placeholder that this caller's task holds for a credential.
    #[must_use]
    pub fn placeholder(&self, credential: &Credential) -> Option<&Secret> {
        self.task.as_ref()?.placeholders.get(credential.name.as_str())
    }

    /// The slot of a credential for this caller; found once, then kept with the connection.
    #[must_use]
    pub fn slot(&self, shared: &Shared, credential: &Arc<Credential>) -> Arc<Slot> {
        if let Some((_, slot)) = self.slots.borrow().iter().find(|(index, _)| *index == credential.index) {
            return slot.clone();
        }
        let holder = if credential.source.is_static() { Holder::Shared } else { self.holder.clone() };
        let slot = shared.credentials.slot(credential, holder);
        self.slots.borrow_mut().push((credential.index, slot.clone()));
        slot
    }

    /// The kept connections to a destination under a rule; found once, then kept with the connection.
    ///
    /// # Errors
    /// As [`Pool::shelf`].
    pub fn shelf(&self, pool: &Pool, rule: Lineage, target: &Target<'_>) -> Result<Rc<Shelf>, Refusal> {
        if let Some(shelf) = self.shelves.borrow().iter().find(|shelf| shelf.is_for(rule, target)) {
            return Ok(Rc::clone(shelf));
        }
        let key = Key {
            rule,
            holder: self.holder.clone(),
            workload: self.lineage,
            scheme: target.scheme,
            host: target.host.clone(),
            port: target.port,
            http1_only: target.http1_only,
            client_auth: target.client_auth.cloned(),
            via: target.via.map(|broker| Via { broker: Arc::clone(broker), behalf: self.behalf() }),
        };
        let shelf = pool.shelf(key)?;
        let mut known = self.shelves.borrow_mut();
        if known.len() >= SHELVES_MAX {
            known.clear();
        }
        known.push(Rc::clone(&shelf));
        Ok(shelf)
    }

    /// Whom a broker is told that this is.
    fn behalf(&self) -> Behalf {
        Behalf { workloads: self.names.to_vec(), task: self.task.as_ref().map(|running| running.task.clone()) }
    }

    /// # Errors
    /// [`Code::TaskEnded`].
    pub(super) fn still_runs(&self) -> Result<(), Refusal> {
        runs(self.task.as_ref())
    }
}

fn named(process: &Process) -> Arc<str> {
    let Process { uid, user, unit, container, executable, .. } = process;
    let unit = unit.as_ref().map(|unit| format!("unit {unit}"));
    let container = || container.as_ref().map(|id| format!("container {id}"));
    let executable = || executable.as_ref().map(|path| format!("executable {path}"));
    let user = || user.as_ref().map_or_else(|| format!("uid {uid}"), |user| format!("user {user}"));
    unit.or_else(container).or_else(executable).unwrap_or_else(user).into()
}

fn runs(task: Option<&Arc<RunningTask>>) -> Result<(), Refusal> {
    match task {
        Some(task) if !task.is_running() => Err(Refusal::new(Code::TaskEnded, "the task of this connection has ended")),
        Some(_) | None => Ok(()),
    }
}

fn same_task(one: Option<&Arc<RunningTask>>, other: Option<&Arc<RunningTask>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, Some(_)) | (Some(_), None) => false,
    }
}
