//! Connections that are kept, apart for each holder and rule: one pool a worker, no locks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use keygress_policy::destination::Host;

use crate::body::Body;
use crate::refusal::{Code, Refusal};

/// How long an unused connection is kept.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How many connections one key keeps.
pub const KEPT_MAX: usize = 64;

/// What two requests must share to share a connection: connection-bound authentication must not cross identities.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The policy generation: another may dial other addresses.
    pub generation: u64,
    /// The rule, by its position: scheme, addresses and credential hang on it.
    pub rule: usize,
    /// The identity that calls.
    pub holder: keygress_policy::workload::Holder,
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// Only HTTP/1.1 will do: an upgrade.
    pub http1_only: bool,
}

/// A connection to a verified destination.
pub struct Link {
    sender: Sender,
    last_used: Instant,
}

enum Sender {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

/// A request that failed; `unsent` holds it where not a byte of it was written.
pub struct Failed {
    /// The request, unharmed.
    pub unsent: Option<Request<Body>>,
    error: hyper::Error,
}

impl Failed {
    /// What the caller is told.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        if self.error.is_timeout() {
            return Refusal::new(Code::UpstreamTimeout, "the destination did not answer in time");
        }
        Refusal::new(Code::UpstreamFailed, "the destination broke off before it answered")
    }
}

impl Link {
    /// Over HTTP/1.1.
    #[must_use]
    pub fn h1(sender: http1::SendRequest<Body>) -> Self {
        Self { sender: Sender::H1(sender), last_used: Instant::now() }
    }

    /// Over HTTP/2.
    #[must_use]
    pub fn h2(sender: http2::SendRequest<Body>) -> Self {
        Self { sender: Sender::H2(sender), last_used: Instant::now() }
    }

    /// Whether it speaks HTTP/2.
    #[must_use]
    pub fn is_h2(&self) -> bool {
        matches!(self.sender, Sender::H2(_))
    }

    /// Sends one request; gives the connection back with the head of the response.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn send(mut self, request: Request<Body>) -> Result<(Response<Incoming>, Self), Failed> {
        let answer = match &mut self.sender {
            Sender::H1(sender) => {
                // Only a connection that is still being set up is not ready here; one that fails now wrote nothing.
                if let Err(error) = sender.ready().await {
                    return Err(Failed { unsent: Some(request), error });
                }
                sender.try_send_request(request).await
            }
            Sender::H2(sender) => {
                if let Err(error) = sender.ready().await {
                    return Err(Failed { unsent: Some(request), error });
                }
                sender.try_send_request(request).await
            }
        };
        match answer {
            Ok(response) => Ok((response, self)),
            Err(mut error) => Err(Failed { unsent: error.take_message(), error: error.into_error() }),
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

    /// HTTP/2 carries many requests at once: the pool keeps one and hands out its likes.
    fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::H1(_) => None,
            Sender::H2(sender) => Some(Self::h2(sender.clone())),
        }
    }
}

/// The kept connections of one worker.
#[derive(Default)]
pub struct Pool {
    kept: RefCell<HashMap<Key, Vec<Link>>>,
}

impl Pool {
    /// A kept connection that can take a request now.
    ///
    /// An HTTP/1.1 connection is put back as soon as its response head is there and passed over until its body is through.
    pub fn take(&self, key: &Key) -> Option<Link> {
        let mut kept = self.kept.borrow_mut();
        let links = kept.get_mut(key)?;
        links.retain(|link| !link.is_closed());
        if let Some(link) = links.iter().find_map(Link::share) {
            return Some(link);
        }
        // The last one in is the warmest.
        let at = links.iter().rposition(Link::is_idle)?;
        Some(links.swap_remove(at))
    }

    /// Keeps a connection.
    pub fn put(&self, key: &Key, mut link: Link) {
        if link.is_closed() {
            return;
        }
        link.last_used = Instant::now();
        let mut kept = self.kept.borrow_mut();
        let links = match kept.entry(key.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Vec::new()),
        };
        if link.is_h2() {
            links.retain(|other| !other.is_h2());
        }
        if links.len() < KEPT_MAX {
            links.push(link);
        }
    }

    /// Drops what is closed or was not used for [`IDLE_TIMEOUT`]. Called now and then.
    pub fn sweep(&self, now: Instant) {
        self.kept.borrow_mut().retain(|_, links| {
            links.retain(|link| !link.is_closed() && now.saturating_duration_since(link.last_used) < IDLE_TIMEOUT);
            !links.is_empty()
        });
    }

    /// Drops everything: the process ends.
    pub fn clear(&self) {
        self.kept.borrow_mut().clear();
    }
}
