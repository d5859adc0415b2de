//! Connections that are kept, apart for each holder and rule: one pool a worker, no locks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use keygress_policy::compile::Lineage;
use keygress_policy::destination::{Host, Scheme};
use tokio::sync::Mutex;

use super::broker::{Trunk, Wire};
use super::connect::Target;
use crate::body::Body;
use crate::client_auth::ClientAuth;
use crate::refusal::{Code, Refusal};

pub use super::broker::Via;

/// How often kept connections are looked through.
pub const SWEEP: Duration = Duration::from_secs(10);

/// How many sweeps an unused connection outlives: a minute.
const IDLE_SWEEPS_MAX: u32 = 6;

/// How many connections one key keeps: a caller with more requests under way than that pays for handshakes.
pub const KEPT_MAX: usize = 512;

/// What two requests must share to share a connection: connection-bound authentication must not cross identities.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The rule: addresses and credential hang on it. The generation of the policy is not needed beside it: a rule of another policy has
    /// this lineage only where it dials the same addresses of the same host and puts the same credential on.
    pub rule: Lineage,
    /// The identity that calls.
    pub holder: keygress_policy::workload::Holder,
    /// What that identity is recognised by, where it is one of the policy: another workload may come under its name.
    pub workload: Option<Lineage>,
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// Only HTTP/1.1 will do: an upgrade.
    pub http1_only: bool,
    /// What proves us to the destination in the handshake.
    pub client_auth: Option<Arc<ClientAuth>>,
    /// Through which broker, and for whom: its connections are everybody's.
    pub via: Option<Via>,
}

/// A connection to a verified destination.
pub struct Link {
    sender: Sender,
    /// How many sweeps it has seen since it was used; `None` where it was just made.
    idle_sweeps: Option<u32>,
    /// Where it leads to a broker, and the name of the request that goes next.
    broker: Option<(Rc<Wire>, Option<Arc<str>>)>,
}

enum Sender {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

/// Why a request has no answer.
pub enum Failed {
    /// The connection was kept and is gone: not a byte of the request was written, and here it is, unharmed.
    Unsent(Box<Request<Body>>),
    /// Anything else.
    Refused(Refusal),
}

fn refusal(error: &hyper::Error) -> Refusal {
    if error.is_timeout() {
        return Refusal::new(Code::UpstreamTimeout, "the destination did not answer in time");
    }
    Refusal::new(Code::UpstreamFailed, "the destination broke off before it answered")
}

impl Link {
    /// Over HTTP/1.1.
    #[must_use]
    pub fn h1(sender: http1::SendRequest<Body>) -> Self {
        Self { sender: Sender::H1(sender), idle_sweeps: None, broker: None }
    }

    /// Over HTTP/2.
    #[must_use]
    pub fn h2(sender: http2::SendRequest<Body>) -> Self {
        Self { sender: Sender::H2(sender), idle_sweeps: None, broker: None }
    }

    /// The same, where a broker is at the other end.
    pub(super) fn over(self, wire: Rc<Wire>) -> Self {
        Self { broker: Some((wire, None)), ..self }
    }

    /// Whether a broker is at the other end.
    pub(super) fn is_to_broker(&self) -> bool {
        self.broker.is_some()
    }

    /// Names the request that goes next, where a broker is told of it.
    pub fn announce(&mut self) -> Option<Arc<str>> {
        let (wire, announced) = self.broker.as_mut()?;
        *announced = Some(wire.announce());
        announced.clone()
    }

    /// Tells the broker, where there is one, whose request this is.
    pub(super) fn state(&self, head: &mut Parts, shelf: &Shelf, path: &str) -> Result<(), Refusal> {
        let Some((wire, announced)) = &self.broker else { return Ok(()) };
        let trace = announced.as_deref().ok_or_else(|| wire.unavailable("the request has no name"))?;
        wire.state(head, shelf, path, trace)
    }

    /// Whether it may serve another request: not where our certificate has been replaced since.
    fn is_current(&self) -> bool {
        self.broker.as_ref().is_none_or(|(wire, _)| wire.is_current())
    }

    /// Whether it speaks HTTP/2.
    #[must_use]
    pub fn is_h2(&self) -> bool {
        matches!(self.sender, Sender::H2(_))
    }

    /// Whether it was just made: to be dialled took time.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.idle_sweeps.is_none()
    }

    /// Sends one request; gives the connection back with the head of the response.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn send(mut self, request: Request<Body>) -> Result<(Response<Incoming>, Self), Failed> {
        let fate = request.body().fate();
        // Only a connection that is still being set up is not ready here; one that fails now wrote nothing.
        let ready = match &mut self.sender {
            Sender::H1(sender) => sender.ready().await,
            Sender::H2(sender) => sender.ready().await,
        };
        if let Err(error) = ready {
            return Err(self.failed(Some(request), &error));
        }
        let answer = match &mut self.sender {
            Sender::H1(sender) => sender.try_send_request(request).await,
            Sender::H2(sender) => sender.try_send_request(request).await,
        };
        match answer {
            Ok(response) => Ok((response, self)),
            Err(mut error) => {
                let unsent = error.take_message();
                match fate.and_then(|fate| fate.fault()) {
                    Some(fault) => Err(Failed::Refused(Refusal::new(Code::BadRequest, fault))),
                    None => Err(self.failed(unsent, &error.into_error())),
                }
            }
        }
    }

    /// Only what a kept connection did not take is worth another one: a fresh one that fails would fail again.
    fn failed(&self, unsent: Option<Request<Body>>, error: &hyper::Error) -> Failed {
        match unsent {
            Some(request) if !self.is_fresh() => Failed::Unsent(Box::new(request)),
            Some(_) | None => Failed::Refused(match &self.broker {
                Some((wire, _)) => wire.unavailable("it broke off before it answered"),
                None => refusal(error),
            }),
        }
    }

    /// Whether it can take a request at once.
    fn is_idle(&self) -> bool {
        match &self.sender {
            Sender::H1(sender) => sender.is_ready(),
            Sender::H2(sender) => sender.is_ready(),
        }
    }

    fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::H1(sender) => sender.is_closed(),
            Sender::H2(sender) => sender.is_closed(),
        }
    }

    /// HTTP/2 carries many requests at once: the shelf keeps one and hands out its likes.
    fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::H2(sender) if !sender.is_closed() => {
                let broker = self.broker.as_ref().map(|(wire, _)| (Rc::clone(wire), None));
                Some(Self { sender: Sender::H2(sender.clone()), idle_sweeps: self.idle_sweeps, broker })
            }
            Sender::H1(_) | Sender::H2(_) => None,
        }
    }
}

/// The kept connections of one worker, apart by [`Key`].
#[derive(Default)]
pub struct Pool {
    shelves: RefCell<HashMap<Key, Rc<Shelf>>>,
    /// By the name of the broker, and whether HTTP/1.1 alone will do.
    trunks: RefCell<HashMap<(Arc<str>, bool), Trunk>>,
}

impl Pool {
    /// The shelf of a key. Whoever asks often keeps it.
    ///
    /// # Errors
    /// Where the host cannot be written in a header.
    pub fn shelf(&self, key: Key) -> Result<Rc<Shelf>, Refusal> {
        match self.shelves.borrow_mut().entry(key) {
            Entry::Occupied(entry) => Ok(Rc::clone(entry.get())),
            Entry::Vacant(entry) => {
                let shelf = Shelf::new(entry.key().clone(), |via, http1_only| {
                    let mut trunks = self.trunks.borrow_mut();
                    let trunk = trunks.entry((Arc::clone(&via.broker), http1_only)).or_default();
                    (Rc::clone(&trunk.links), Rc::clone(&trunk.turn))
                })?;
                Ok(Rc::clone(entry.insert(Rc::new(shelf))))
            }
        }
    }

    /// Drops what is closed or was not used for six sweeps, and the shelves that are empty and nobody's. Called every
    /// [`SWEEP`]: to count sweeps spares each request a look at the clock.
    pub fn sweep(&self) {
        let stays = |link: &mut Link| {
            let sweeps = link.idle_sweeps.get_or_insert(0);
            *sweeps += 1;
            *sweeps <= IDLE_SWEEPS_MAX && !link.is_closed() && link.is_current()
        };
        self.trunks.borrow().values().for_each(|trunk| trunk.links.borrow_mut().retain_mut(stays));
        self.shelves.borrow_mut().retain(|_, shelf| {
            if shelf.turn.is_some() {
                return Rc::strong_count(shelf) > 1;
            }
            shelf.links.borrow_mut().retain_mut(stays);
            !shelf.links.borrow().is_empty() || Rc::strong_count(shelf) > 1
        });
    }

    /// Drops everything: the process ends.
    pub fn clear(&self) {
        self.shelves.borrow_mut().drain().for_each(|(_, shelf)| shelf.links.borrow_mut().clear());
    }
}

/// The kept connections of one key, and how their destination is written in a request.
pub struct Shelf {
    key: Key,
    links: Rc<RefCell<Vec<Link>>>,
    /// Who makes the next connection, where it leads to a broker.
    turn: Option<Rc<Mutex<()>>>,
    pub(super) scheme: http::uri::Scheme,
    pub(super) authority: http::uri::Authority,
    pub(super) host: HeaderValue,
}

impl Shelf {
    /// `Host` as it is sent.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    fn new(key: Key, trunk: impl FnOnce(&Via, bool) -> (Rc<RefCell<Vec<Link>>>, Rc<Mutex<()>>)) -> Result<Self, Refusal> {
        let (links, turn) = match &key.via {
            Some(via) => {
                let (links, turn) = trunk(via, key.http1_only);
                (links, Some(turn))
            }
            None => (Rc::default(), None),
        };
        let unsendable = || Refusal::new(Code::BadRequest, "the destination cannot be written in a request");
        let authority = super::authority(key.scheme, &key.host, key.port);
        Ok(Self {
            scheme: match key.scheme {
                Scheme::Http => http::uri::Scheme::HTTP,
                Scheme::Https => http::uri::Scheme::HTTPS,
            },
            host: HeaderValue::try_from(authority.as_str()).map_err(|_| unsendable())?,
            authority: authority.parse().map_err(|_| unsendable())?,
            links,
            turn,
            key,
        })
    }

    /// Through which broker it leads, and for whom.
    pub(super) fn via(&self) -> Option<&Via> {
        self.key.via.as_ref()
    }

    /// Whose turn it is to make a connection, where one carries everybody's.
    pub(super) fn turn(&self) -> Option<Rc<Mutex<()>>> {
        self.turn.clone()
    }

    /// Keeps a connection that somebody uses, where it can be shared.
    pub(super) fn lend(&self, link: &Link) {
        if let Some(shared) = link.share() {
            self.put(shared);
        }
    }

    /// The scheme of its destination.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.key.scheme
    }

    /// Whether it is for this rule and destination, among those of one identity under one policy.
    #[must_use]
    pub fn is_for(&self, rule: Lineage, target: &Target<'_>) -> bool {
        let Key { rule: own, scheme, host, port, http1_only, client_auth, .. } = &self.key;
        *own == rule
            && *port == target.port
            && *scheme == target.scheme
            && *http1_only == target.http1_only
            && host == target.host
            && client_auth.as_ref() == target.client_auth
    }

    /// A kept connection that can take a request now.
    ///
    /// An HTTP/1.1 connection is put back as soon as its response head is there and passed over until its body is through.
    pub fn take(&self) -> Option<Link> {
        let mut links = self.links.borrow_mut();
        // One that is shared stands first: see `put`.
        if let Some(link) = links.first().and_then(Link::share) {
            return Some(link);
        }
        // The last one in is the warmest.
        let at = links.iter().rposition(Link::is_idle)?;
        Some(links.swap_remove(at))
    }

    /// Keeps a connection.
    pub fn put(&self, mut link: Link) {
        if link.is_closed() || !link.is_current() {
            return;
        }
        link.idle_sweeps = Some(0);
        let mut links = self.links.borrow_mut();
        if link.is_h2() {
            links.retain(|other| !other.is_h2());
            return links.insert(0, link);
        }
        if links.len() >= KEPT_MAX {
            links.retain(|link| !link.is_closed());
        }
        if links.len() < KEPT_MAX {
            links.push(link);
        }
    }
}
