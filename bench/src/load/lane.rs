//! One request after the other: take the next that is due, send it, check its response, note what it took.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Uri, header, request};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::check::Wrong;
use super::link::{Dialer, Link};
use super::measured::Tally;
use super::schedule::Schedule;
use super::{Path, Plan, Protocol, Reuse, Way};
use crate::wire::Outgoing;

/// How many connections one thread makes at once: more at a time would only wait in the listener's queue.
const DIALLING_MAX: usize = 64;

/// How long a request of the warm-up may take at least: its connection comes after those of all others.
const WARM_UP_PATIENCE: Duration = Duration::from_secs(30);

/// What the lanes of one thread share.
pub(super) struct Station {
    plan: Arc<Plan>,
    dialer: Dialer,
    dialling: Semaphore,
    heads: Heads,
    schedule: Arc<Schedule>,
    tally: Tally,
}

/// What the lanes on one HTTP/2 connection share: who finds it gone makes the next one.
pub(super) type Shared = Rc<Mutex<Option<Link>>>;

/// The connection of a lane.
pub(super) enum Seat {
    /// Its own.
    Own(Option<Link>),
    /// One of several on it.
    Shared(Shared),
}

impl Station {
    pub(super) fn new(plan: Arc<Plan>, schedule: Arc<Schedule>) -> anyhow::Result<Self> {
        let heads = Heads::new(&plan)?;
        let dialer = Dialer::new(Arc::clone(&plan))?;
        Ok(Self { heads, dialer, dialling: Semaphore::new(DIALLING_MAX), schedule, tally: Tally::new()?, plan })
    }

    /// What was seen.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Sends so many requests that are not measured; the connection is up and warm after them.
    pub(super) async fn warm_up(&self, seat: &mut Seat, requests: u64) {
        for _ in 0..requests {
            if let Err(wrong) = self.carry(seat, self.plan.patience.max(WARM_UP_PATIENCE)).await {
                self.tally.wrong_before(wrong);
            }
        }
    }

    /// Sends what is due until nothing is.
    pub(super) async fn work(&self, seat: &mut Seat, alarm: &Alarm, mut go: watch::Receiver<bool>) {
        if go.wait_for(|go| *go).await.is_err() {
            return;
        }
        while let Some(due) = self.schedule.claim(Instant::now()) {
            if alarm.until(due).await.is_err() {
                return;
            }
            match self.carry(seat, self.plan.patience).await {
                // From when it was due: what waited for a free connection waited for the server.
                Ok(down) => self.tally.right(due.elapsed(), down, self.plan.request_bytes),
                Err(wrong) => self.tally.wrong(wrong),
            }
        }
    }

    /// One request, within so much time. A connection on which something went wrong is not used again.
    async fn carry(&self, seat: &mut Seat, patience: Duration) -> Result<u64, Wrong> {
        let carried = tokio::time::timeout(patience, self.attempt(seat)).await.unwrap_or(Err(Wrong::TimedOut));
        let is_spent = match carried {
            Ok(_) | Err(Wrong::Status(_) | Wrong::WrongCredential | Wrong::NoCredential | Wrong::Unproven | Wrong::Field) => {
                self.plan.reuse != Reuse::KeepAlive
            }
            Err(_) => true,
        };
        if is_spent && let Seat::Own(link) = seat {
            *link = None;
        }
        carried
    }

    async fn attempt(&self, seat: &mut Seat) -> Result<u64, Wrong> {
        let request = Request::from_parts(self.heads.next(), Outgoing::Letters(self.plan.request_bytes));
        let response = match seat {
            Seat::Own(link) => self.own(link).await?.send(request).await?,
            Seat::Shared(shared) => self.shared(shared).await?.send(request).await?,
        };
        self.plan.expected.read(response).await
    }

    async fn own<'l>(&self, link: &'l mut Option<Link>) -> Result<&'l mut Link, Wrong> {
        if link.as_ref().is_some_and(Link::is_closed) {
            *link = None;
        }
        match link {
            Some(link) => Ok(link),
            None => Ok(link.insert(self.dial().await?)),
        }
    }

    async fn shared(&self, shared: &Shared) -> Result<Link, Wrong> {
        let mut kept = shared.lock().await;
        let link = match kept.as_ref().filter(|link| !link.is_closed()).and_then(Link::shared) {
            Some(link) => link,
            None => {
                let link = self.dial().await?;
                *kept = link.shared();
                link
            }
        };
        Ok(link)
    }

    async fn dial(&self) -> Result<Link, Wrong> {
        let _one_of_few = self.dialling.acquire().await;
        let (link, made) = self.dialer.dial().await?;
        self.tally.connected(made);
        Ok(link)
    }
}

/// The heads of the requests of a thread, one after the other.
struct Heads {
    all: Vec<request::Parts>,
    next: Cell<usize>,
}

impl Heads {
    fn new(plan: &Plan) -> anyhow::Result<Self> {
        let all = match &plan.path {
            Path::One(path) => vec![head(plan, path)?],
            Path::Numbered { before, count } => {
                (1..=*count).map(|number| head(plan, &format!("{before}{number}"))).collect::<anyhow::Result<_>>()?
            }
        };
        Ok(Self { all, next: Cell::new(0) })
    }

    fn next(&self) -> request::Parts {
        let at = self.next.get();
        self.next.set(if at + 1 < self.all.len() { at + 1 } else { 0 });
        // There is at least one, and `at` is below their number.
        self.all.get(at).cloned().unwrap_or_else(|| Request::new(()).into_parts().0)
    }
}

fn head(plan: &Plan, path: &str) -> anyhow::Result<request::Parts> {
    let scheme = if plan.is_secure { "https" } else { "http" };
    let whole = || format!("{scheme}://{}{path}", plan.authority);
    let (uri, host): (String, Option<&str>) = match (&plan.way, plan.protocol) {
        (Way::Absolute, _) => (whole(), Some(&plan.authority)),
        (Way::Origin { prefix, host }, _) => (format!("{prefix}{path}"), Some(host.as_deref().unwrap_or(&plan.authority))),
        (Way::Connect | Way::Tls, Protocol::Http1) => (path.to_owned(), Some(&plan.authority)),
        (Way::Connect | Way::Tls, Protocol::Http2) => (whole(), None),
    };
    let mut request = Request::new(());
    *request.method_mut() = plan.method.clone();
    *request.uri_mut() = uri.parse::<Uri>()?;
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, HeaderValue::from_str(host)?);
    }
    request.headers_mut().extend(plan.headers.clone());
    Ok(request.into_parts().0)
}

/// How long the end of a load may be late: requests that are under way are waited for.
pub(super) fn grace(plan: &Plan) -> Duration {
    plan.patience + Duration::from_secs(5)
}
