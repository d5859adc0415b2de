//! What is written down of one request: one event, one metric, so that they cannot disagree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode};
use keygress_policy::Rule;
use keygress_policy::decide::Grant;
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::inject::Stripped;

use super::{Asked, Line, Sight, Use, Way};
use crate::audit::{Destination, Event, Kind, PATH_MASKED};
use crate::credentials::Source;
use crate::metrics::Outcome;
use crate::refusal::{Code, Refusal};
use crate::reload::Snapshot;
use crate::scrub::{Sieve, Sifted};
use crate::statement::Trace;
use crate::telemetry::{Ended, Span};

/// The code of a request that ended without an answer.
const BROKEN_OFF: &str = "broken_off";

/// The host on record of a request that shows such a thing in a name.
const HOST_MASKED: &str = "masked.invalid";

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Puts on record what is refused and gets no answer.
pub fn unanswered(line: &Line, refusal: &Refusal) {
    Record::begin(line).denied(refusal);
}

/// The record of one request while it is being carried.
pub(super) struct Record<'l> {
    pub(super) line: &'l Line,
    id: u64,
    pub(super) event: Event,
    /// The lease whose use is on the disk already, where the audit is strict.
    pub(super) intended: Option<Arc<str>>,
    sent: bool,
    ended: bool,
    clock: Clock,
    span: Option<Box<Span>>,
}

/// Whose time it is that passes.
struct Clock {
    began: Instant,
    /// Since when caller or upstream is waited for, where one is.
    waits_since: Option<Instant>,
    /// How long they were.
    elsewhere: Duration,
    /// When the upstream was first reached for.
    reached: Option<Instant>,
    /// When it was last heard of.
    returned: Option<Instant>,
}

impl<'l> Record<'l> {
    pub(super) fn begin(line: &'l Line) -> Self {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut event = Event::new(Kind::Denied);
        event.request = Some(id);
        event.way = Some(line.way.as_str());
        if let Some(process) = &line.proven.caller.process {
            event.uid = Some(process.uid);
            event.pid = process.pid;
        }
        event.peer = line.proven.peer.clone();
        let clock = Clock { began: Instant::now(), waits_since: None, elsewhere: Duration::ZERO, reached: None, returned: None };
        Self { line, id, event, intended: None, sent: false, ended: false, clock, span: None }
    }

    /// The id under which the audit holds this request.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn asked(&mut self, asked: &Asked) {
        self.event.generation = Some(asked.snapshot.generation);
        self.event.method = Some(asked.head.method.clone());
        self.event.destination = Some(Destination { scheme: asked.scheme, host: asked.host.clone(), port: asked.port });
        self.event.path = asked.head.uri.path_and_query().cloned();
        let known = &self.line.shared().known;
        self.event.shown = known.shown(&asked.head);
        if self.event.shown.is_some() && known.is_in_path(asked.head.uri.path()) {
            self.event.path = Some(PathAndQuery::from_static(PATH_MASKED));
        }
        if self.line.way == Way::Mutual {
            self.event.trace = asked.head.extensions.get().map(|Trace(trace)| Arc::clone(trace));
        }
    }

    /// Where it is traced, the upstream is told so.
    pub(super) fn traced(&mut self, headers: &mut HeaderMap) {
        let Some(traces) = &self.line.shared().traces else { return };
        self.span = traces.begin(headers, self.id);
        self.event.span = self.span.as_ref().map(|span| span.context);
    }

    pub(super) fn connect(&mut self, snapshot: &Snapshot, host: &Host, port: u16) {
        // A captured connection asked for no tunnel.
        if self.line.way != Way::Transparent {
            self.event.way = Some("tunnel");
        }
        self.event.generation = Some(snapshot.generation);
        self.event.method = Some(http::Method::CONNECT);
        self.event.destination = Some(Destination { scheme: Scheme::Https, host: host.clone(), port });
    }

    pub(super) fn caller(&mut self, sight: &Sight) {
        self.event.workload = sight.workload.clone();
        self.event.pid = sight.pid;
        self.event.process.clone_from(&sight.process);
        self.event.task = sight.task_id().map(Into::into);
    }

    pub(super) fn granted(&mut self, grant: &Grant<'_, Source>) {
        self.rule(grant.rule);
        self.event.credential = grant.credential.map(|credential| credential.name.shared());
        self.event.mints = grant.mints;
    }

    pub(super) fn rule(&mut self, rule: &Rule) {
        self.event.rule = Some(rule.name.shared());
        self.event.broker.clone_from(&rule.via);
    }

    /// What of the application's own does not leave.
    pub(super) fn stripped(&mut self, stripped: Stripped) {
        self.event.stripped = stripped;
    }

    /// The body of the answer passes without a search.
    pub(super) fn unscrubbed(&mut self) {
        self.event.unscrubbed = true;
    }

    /// What comes back after the head is watched to its end, and what was masked in it is on record too.
    pub(super) fn follow(&self, sieve: Sieve) -> Sieve {
        let shared = Arc::clone(&self.line.worker.shared);
        let about = Event {
            request: Some(self.id),
            way: self.event.way,
            task: self.event.task.clone(),
            rule: self.event.rule.clone(),
            credential: self.event.credential.clone(),
            lease: self.event.lease.clone(),
            fingerprint: self.event.fingerprint.clone(),
            generation: self.event.generation,
            ..Event::new(Kind::Scrubbed)
        };
        sieve.told_to(move |Sifted { masked, spoilt }| {
            let broken_off = spoilt.is_some();
            shared.metrics.scrubbed(about.credential.as_deref().unwrap_or_default(), broken_off);
            let code = broken_off.then_some(Code::Unscrubbable.as_str());
            shared.audit.record(Event { masked: Some(masked), code, ..about });
        })
    }

    /// From here on the destination may have it, with the credential that was put on.
    pub(super) fn sent(&mut self, use_of: &Use<'_>, trace: Option<Arc<str>>) {
        self.sent = true;
        if trace.is_some() {
            self.event.trace = trace;
        }
        if let Some(ready) = use_of.ready() {
            self.event.lease = Some(ready.lease.clone());
            self.event.fingerprint = Some(ready.fingerprint.clone());
        }
    }

    /// From here on it is the upstream that takes its time.
    pub(super) fn reaches(&mut self) {
        let now = Instant::now();
        self.clock.waits_since = Some(now);
        self.clock.reached.get_or_insert(now);
    }

    /// From here on it is the caller that does.
    pub(super) fn waits(&mut self) {
        self.clock.waits_since = Some(Instant::now());
    }

    /// From here on it is keygress.
    pub(super) fn goes_on(&mut self) {
        if let Some(since) = self.clock.waits_since.take() {
            let now = Instant::now();
            self.clock.elsewhere += now - since;
            self.clock.returned = Some(now);
        }
    }

    /// Nothing of this is on record: what is asked inside the tunnel will be.
    pub(super) fn intercepted(mut self) {
        self.ended = true;
    }

    pub(super) fn used(&mut self, status: StatusCode) {
        let outcome = if self.event.lease.is_some() { Outcome::Injected } else { Outcome::Passed };
        self.event.kind = Kind::Used;
        self.end(Some(status), outcome, None);
    }

    pub(super) fn denied(&mut self, refusal: &Refusal) {
        let outcome = if refusal.code.status().is_server_error() { Outcome::Failed } else { Outcome::Denied };
        if self.event.rule.is_none() {
            self.event.rule = refusal.rule.as_deref().map(Into::into);
        }
        if self.event.task.is_none() {
            self.event.task.clone_from(&refusal.task);
        }
        self.event.kind = if self.sent { Kind::Used } else { Kind::Denied };
        self.event.code = Some(refusal.code.as_str());
        self.event.message = Some(refusal.detail.clone());
        self.mask_host();
        self.end(Some(refusal.code.status()), outcome, Some(refusal.code.as_str()));
    }

    /// A name that nobody may ask for is the caller's own text: what it shows that no reader of the audit may see is not on record.
    fn mask_host(&mut self) {
        let Some(Destination { host, .. }) = &mut self.event.destination else { return };
        let Host::Name(name) = &*host else { return };
        if let Some(thing) = self.line.shared().known.in_host(name) {
            *host = Host::Name(HOST_MASKED.into());
            self.event.shown.get_or_insert(thing);
        }
    }

    fn end(&mut self, status: Option<StatusCode>, outcome: Outcome, code: Option<&'static str>) {
        self.ended = true;
        self.goes_on();
        self.event.status = status.map(|status| status.as_u16());
        let shared = self.line.shared();
        shared.metrics.request(outcome, code);
        let Clock { began, elsewhere, .. } = self.clock;
        if self.sent && status.is_some() {
            shared.metrics.carried(began.elapsed().saturating_sub(elsewhere), elsewhere);
        }
        if let Some(span) = self.span.take() {
            self.tell(*span);
        }
        shared.audit.record(std::mem::replace(&mut self.event, Event::new(Kind::Denied)));
    }
}

impl Record<'_> {
    /// Hands on what was traced.
    fn tell(&self, mut span: Span) {
        let Some(traces) = &self.line.shared().traces else { return };
        // What the application shows that it should not may be in there.
        span.state = span.state.filter(|_| self.event.shown.is_none());
        let Clock { began, reached, returned, .. } = self.clock;
        let upstream = reached.zip(returned.or(reached)).map(|(from, to)| (from - began, to - began));
        traces.tell(Box::new(Ended { span, event: self.event.clone(), took: began.elapsed(), upstream }));
    }
}

/// A request that nobody waits for any more is dropped where it stands: a credential may have left, and that is on record too.
impl Drop for Record<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (kind, outcome) = if self.sent { (Kind::Used, Outcome::Failed) } else { (Kind::Denied, Outcome::Denied) };
        self.event.kind = kind;
        self.event.code = Some(BROKEN_OFF);
        self.event.message = Some("the caller broke off, or keygress stopped, before there was an answer".into());
        self.end(None, outcome, Some(BROKEN_OFF));
    }
}
