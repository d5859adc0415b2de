use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::keyring::Core;
use super::lease::{Lease, REVOCATION_TIME, end_all};
use super::mint::{Minted, mint};
use super::renewal::{self, Schedule};
use super::{Holder, Ready, Unavailable};
use crate::Credential;
use crate::audit::Kind;

/// Nobody waits longer for a credential.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);

/// An upstream that answers 401 to everything makes us fetch no more often than this.
const INVALIDATION_PAUSE: Duration = Duration::from_secs(10);

/// A renewal that another one stands in the way of looks again after this time.
const RENEWAL_PAUSE_MIN: Duration = Duration::from_millis(200);

/// One credential for one holder: the ready value, and the single flight that fetches it.
pub struct Slot {
    ready: ArcSwapOption<Ready>,
    used: AtomicBool,
    state: Mutex<State>,
    /// Tells a fetch under way that nobody wants what it brings.
    given_up: watch::Sender<bool>,
    credential: Arc<Credential>,
    holder: Holder,
    core: Arc<Core>,
}

/// What changes under the lock. `ready` is stored under it too, so that nothing can appear after the end.
#[derive(Default)]
struct State {
    /// Why the slot has ended, if it has: it then serves nothing any more.
    ended: Option<&'static str>,
    flight: Option<Flight>,
    leases: Vec<Held>,
    backoff: Backoff,
    failure: Option<String>,
    invalidated: Option<Instant>,
}

/// The fetch under way: who joins awaits its landing.
#[derive(Clone)]
struct Flight(watch::Receiver<Option<Result<(), Unavailable>>>);

impl Flight {
    /// Whether it still can land. A fetch that panicked cannot.
    fn is_under_way(&self) -> bool {
        self.0.has_changed().is_ok() && self.0.borrow().is_none()
    }

    async fn landed(mut self) -> Option<Result<(), Unavailable>> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

struct Held {
    lease: Arc<Lease>,
    keeper: Option<AbortHandle>,
}

/// How a renewal went.
pub(super) enum Renewal {
    /// Another value is ready, or none should be.
    Done,
    /// Nobody used the value.
    NotUsed,
    /// The provider failed; it rests for so long.
    Failed(Duration),
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("credential", &self.credential.name).field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl Slot {
    /// A slot with no value yet.
    pub(super) fn new(credential: Arc<Credential>, holder: Holder, core: Arc<Core>) -> Arc<Self> {
        let slot = Self::with_state(credential, holder, core, State::default());
        let files = slot.credential.source.provider().files();
        if !files.is_empty() {
            let told = slot.core.tools.changes.told();
            files.iter().for_each(|file| slot.core.tools.changes.follow(file));
            let core = Arc::clone(&slot.core);
            slot.core.runtime.spawn(renewal::follow(Arc::downgrade(&slot), core, files, told));
        }
        slot.core.runtime.spawn(renewal::follow_source(Arc::downgrade(&slot), Arc::clone(&slot.credential)));
        slot
    }

    /// A slot that serves nothing, and why.
    pub(super) fn new_ended(credential: Arc<Credential>, holder: Holder, core: Arc<Core>, why: &'static str) -> Arc<Self> {
        Self::with_state(credential, holder, core, State { ended: Some(why), ..State::default() })
    }

    fn with_state(credential: Arc<Credential>, holder: Holder, core: Arc<Core>, state: State) -> Arc<Self> {
        let (ready, used) = (ArcSwapOption::empty(), AtomicBool::new(false));
        Arc::new(Self { ready, used, state: Mutex::new(state), given_up: watch::Sender::new(false), credential, holder, core })
    }

    /// The ready value, unless there is none or it has expired. Allocates nothing, takes no lock.
    #[must_use]
    pub fn ready(&self) -> Option<Arc<Ready>> {
        let ready = self.ready.load_full()?;
        if ready.expires.is_some_and(|expires| Instant::now().into_std() >= expires) {
            return None;
        }
        // Looked at first: a write on every request would bounce the cache line between the workers.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        Some(ready)
    }

    /// The ready value; waits for the provider only when there is none. One fetch for all who wait, at most 5 s.
    ///
    /// After a failure the provider rests, and whoever asks in that time is told at once when to try again. After three failures in a
    /// row one caller probes and the others are told at once. Dropping the future does not stop the fetch.
    ///
    /// # Errors
    /// [`Unavailable`]. Never returns an expired value.
    pub async fn wait(self: &Arc<Self>) -> Result<Arc<Ready>, Unavailable> {
        match self.ready() {
            Some(ready) => Ok(ready),
            // Boxed, since few requests come here: see `Connector::connect`.
            None => Box::pin(self.landing()).await,
        }
    }

    async fn landing(self: &Arc<Self>) -> Result<Arc<Ready>, Unavailable> {
        let flight = self.join()?;
        match tokio::time::timeout(WAIT_MAX, flight.landed()).await {
            Ok(Some(Err(unavailable))) => return Err(unavailable),
            Ok(Some(Ok(())) | None) => {}
            Err(_) => return Err(self.unavailable("its provider did not answer within 5 s", Duration::from_secs(1))),
        }
        // Looked up and not handed over by the flight, as the slot may have ended since.
        self.ready()
            .ok_or_else(|| self.lock().ended.map_or_else(|| self.unavailable("it is no longer valid", WAIT_MAX), |why| self.ended(why)))
    }

    /// The upstream answered 401 to this value: it is dropped (once), so that the next [`Slot::wait`] fetches a fresh one.
    ///
    /// Drops only this value, never a newer one, and at most one every 10 s: an upstream that always answers 401 must not become a
    /// flood at the issuer.
    pub fn invalidate(self: &Arc<Self>, refused: &Arc<Ready>) {
        let mut state = self.lock();
        let current = self.ready.load();
        if !current.as_ref().is_some_and(|current| Arc::ptr_eq(current, refused)) {
            return;
        }
        let now = Instant::now();
        if state.invalidated.is_some_and(|last| now < last + INVALIDATION_PAUSE) {
            return;
        }
        state.invalidated = Some(now);
        self.ready.store(None);
        let lease = state.take_lease(&refused.lease);
        if state.flight.is_none() && state.backoff.rest(now).is_zero() {
            self.launch(&mut state);
        }
        drop(state);
        if let Some(lease) = lease {
            self.core.in_background(end_all(vec![lease], Arc::clone(&self.core), now + REVOCATION_TIME));
        }
    }

    /// Ends the slot: from here on it serves nothing. What must be revoked is taken with [`Slot::give_up`].
    pub(super) fn end(&self, why: &'static str) {
        let mut state = self.lock();
        state.ended.get_or_insert(why);
        self.ready.store(None);
        for held in &state.leases {
            held.keeper.iter().for_each(AbortHandle::abort);
        }
        // What must be kept or revoked is awaited; anything else is not even wanted.
        self.given_up.send_replace(self.credential.source.provider().may_be_dropped());
    }

    /// The leases of an ended slot.
    pub(super) fn give_up(&self) -> Vec<Arc<Lease>> {
        self.lock().leases.drain(..).map(|held| held.lease).collect()
    }

    /// Awaits the fetch under way, if there is one.
    pub(super) async fn settled(&self) {
        let flight = self.lock().flight.clone();
        if let Some(flight) = flight {
            flight.landed().await;
        }
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.leases.is_empty() && state.flight.is_none() && self.ready.load().is_none()
    }

    /// Renews the value of this lease if it is the ready one and was used, or is always held ready.
    pub(super) async fn renew(self: &Arc<Self>, lease: &Lease) -> Renewal {
        if !self.serves(lease) {
            return Renewal::Done;
        }
        if !self.used.load(Ordering::Relaxed) && !self.credential.source.provider().is_static() {
            return Renewal::NotUsed;
        }
        if let Ok(flight) = self.join() {
            flight.landed().await;
        }
        if !self.serves(lease) {
            return Renewal::Done;
        }
        Renewal::Failed(self.lock().backoff.rest(Instant::now()).max(RENEWAL_PAUSE_MIN))
    }

    /// Fetches although a value is ready, because a file may have changed. Says whether the slot lives on.
    pub(super) async fn fetch_again(self: &Arc<Self>) -> bool {
        // The fetch under way may have read the file before it changed.
        self.settled().await;
        let flight = {
            let mut state = self.lock();
            if state.ended.is_some() {
                return false;
            }
            match &state.flight {
                Some(flight) if flight.is_under_way() => flight.clone(),
                Some(_) | None => self.launch(&mut state),
            }
        };
        flight.landed().await;
        true
    }

    /// The value of this lease must no longer leave.
    pub(super) fn withdraw(&self, lease: &Lease) {
        let _state = self.lock();
        if self.serves(lease) {
            self.ready.store(None);
        }
    }

    /// This lease has ended by itself.
    pub(super) fn expire(&self, lease: &Lease) {
        if self.lock().take_lease(&lease.id).is_some() {
            self.core.audit.record(lease.event(Kind::Expired));
        }
    }

    /// Begins a fetch, unless the provider rests; a fetch under way serves all who come.
    pub(super) fn begin(self: &Arc<Self>) {
        let _ = self.join();
    }

    fn serves(&self, lease: &Lease) -> bool {
        self.ready.load().as_ref().is_some_and(|ready| Arc::ptr_eq(&ready.lease, &lease.id))
    }

    fn join(self: &Arc<Self>) -> Result<Flight, Unavailable> {
        let mut state = self.lock();
        if let Some(why) = state.ended {
            return Err(self.ended(why));
        }
        let rest = state.backoff.rest(Instant::now());
        match &state.flight {
            Some(flight) if flight.is_under_way() && !state.backoff.is_open() => Ok(flight.clone()),
            Some(flight) if flight.is_under_way() => Err(self.failed(&state, rest)),
            Some(_) | None if !rest.is_zero() => Err(self.failed(&state, rest)),
            Some(_) | None => Ok(self.launch(&mut state)),
        }
    }

    fn launch(self: &Arc<Self>, state: &mut State) -> Flight {
        let (landed, landing) = watch::channel(None);
        let slot = Arc::clone(self);
        self.core.runtime.spawn(async move {
            let mut given_up = slot.given_up.subscribe();
            let given_up = given_up.wait_for(|given_up| *given_up);
            let minted = mint(&slot.core, &slot.credential, &slot.holder, &slot.ready, given_up).await;
            let result = slot.land(minted);
            landed.send_replace(Some(result));
        });
        let flight = Flight(landing);
        state.flight = Some(flight.clone());
        flight
    }

    fn land(self: &Arc<Self>, minted: Result<Minted, String>) -> Result<(), Unavailable> {
        let mut state = self.lock();
        state.flight = None;
        match minted {
            Ok(minted) => {
                state.backoff.succeeded();
                state.failure = None;
                if let Minted::Fresh { ready, lease, schedule } = minted {
                    self.take_over(&mut state, ready, lease, schedule);
                }
                state.ended.map_or(Ok(()), |why| Err(self.ended(why)))
            }
            Err(reason) => {
                let now = Instant::now();
                state.backoff.failed(now);
                let credential = self.credential.name.as_str();
                tracing::warn!(credential, provider = self.credential.source.provider().kind(), %reason, "the credential could not be fetched");
                state.failure = Some(reason);
                Err(self.failed(&state, state.backoff.rest(now)))
            }
        }
    }

    fn take_over(self: &Arc<Self>, state: &mut State, ready: Arc<Ready>, lease: Arc<Lease>, schedule: Option<Schedule>) {
        if state.ended.is_some() {
            // Whoever ended the slot awaits this flight and takes the lease.
            return state.leases.push(Held { lease, keeper: None });
        }
        if !schedule.is_some_and(|schedule| schedule.is_renewed()) {
            // The value before it was replaced where it comes from; nobody can revoke it but its owner.
            for old in state.leases.drain(..) {
                old.keeper.iter().for_each(AbortHandle::abort);
                let mut event = old.lease.event(Kind::Expired);
                event.code = Some("superseded");
                self.core.audit.record(event);
            }
        }
        let credential = self.credential.name.as_str();
        tracing::info!(credential, lease = %lease.id, fingerprint = %lease.fingerprint, "the credential is ready");
        self.used.store(false, Ordering::Relaxed);
        self.ready.store(Some(ready));
        let keeper = schedule.map(|schedule| {
            let keeping = renewal::keep(Arc::downgrade(self), Arc::downgrade(&lease), schedule);
            self.core.runtime.spawn(keeping).abort_handle()
        });
        state.leases.push(Held { lease, keeper });
    }

    fn failed(&self, state: &State, rest: Duration) -> Unavailable {
        self.unavailable(state.failure.as_deref().unwrap_or("its provider failed"), rest)
    }

    fn ended(&self, why: &'static str) -> Unavailable {
        Unavailable { reason: format!("credential `{}` is not available: {why}", self.credential.name), retry_after: None }
    }

    fn unavailable(&self, reason: &str, rest: Duration) -> Unavailable {
        let retry_after = Some(rest.as_secs() + 1);
        Unavailable { reason: format!("credential `{}` is not available: {reason}", self.credential.name), retry_after }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_lease(&mut self, id: &Arc<str>) -> Option<Arc<Lease>> {
        let index = self.leases.iter().position(|held| Arc::ptr_eq(&held.lease.id, id))?;
        let held = self.leases.swap_remove(index);
        held.keeper.iter().for_each(AbortHandle::abort);
        Some(held.lease)
    }
}
