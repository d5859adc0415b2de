use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keygress_policy::workload::{Caller, Task};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use super::connect::HANDSHAKE_TIMEOUT;
use super::pace::{Heads, Paced};
use super::serve::{Closes, Door, Shut, http1_builder, http2_builder, overloaded, paced};
use super::{Entrance, connect, gate};
use crate::body::Body;
use crate::caller::peer::{Guest, Peers};
use crate::caller::{Proven, RunningTask, Unproven, bearer};
use crate::exchange::{Line, Way, Worker, exchange, unanswered, unpanicked};
use crate::refusal::{Code, Refusal};
use crate::statement::{Behalf, Channel, Of, PREFIX, Trace};
use crate::stream::Tcp;
use crate::worker::{Counted, Pace};

/// How many that one connection speaks for are remembered at once.
const VOICES_MAX: usize = 1024;

/// How long a token that was good is taken for good on a connection that stays open, up to its expiry.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Requests under way on one connection: a peer brings those of all its callers.
const STREAMS_MAX: u32 = 1000;

/// Serves a connection from a peer beside the others.
pub(super) fn take(entrance: &Rc<Entrance>, stream: TcpStream) {
    let Some(peers) = entrance.peers.clone() else { return };
    let (worker, closes) = (entrance.worker.clone(), entrance.closes.clone());
    let (place, shut) = match entrance.census.enter(&stream, None) {
        Some(place) => (place, None),
        None => match entrance.census.refuse(&stream) {
            Some(place) => (place, Some(Shut::Full)),
            None => {
                let line = Line::new(worker, Way::Mutual, Proven::default());
                return unanswered(&line, &Refusal::new(Code::Full, "there is no place for one more peer"));
            }
        },
    };
    let counted = Counted::new(&worker.shared.metrics, place);
    tokio::task::spawn_local(async move {
        let tls = async { TlsAcceptor::from(peers.tls().ok()?).accept(Tcp(stream)).await.ok() };
        let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, Box::pin(tls)).await;
        let Ok(Some(stream)) = stream else {
            let line = Line::new(worker, Way::Mutual, Proven::default());
            return unanswered(&line, &Refusal::new(Code::PeerRefused, "the TLS handshake failed"));
        };
        let visit = Visit::new(&worker, &peers, &stream, (counted, shut));
        serve(Rc::new(visit), stream, closes).await;
    });
}

/// One connection over mutual TLS: the peer, and everybody for whom it speaks on it.
struct Visit {
    worker: Rc<Worker>,
    counted: Rc<Counted>,
    peers: Arc<Peers>,
    guest: Option<Rc<Guest>>,
    /// The peer itself.
    own: Rc<Line>,
    shut: Option<Shut>,
    voices: RefCell<HashMap<Behalf, Voice>>,
    /// Holders of tokens by the hash of those, and when they were last proven.
    bearers: RefCell<Bearers>,
    /// Told where the connection must not be used on.
    leave: Notify,
}

type Bearers = HashMap<Box<[u8]>, (Voice, Instant)>;

/// Somebody for whom a peer speaks.
#[derive(Clone)]
struct Voice {
    line: Rc<Line>,
    task: Option<Arc<RunningTask>>,
}

impl Visit {
    fn new(worker: &Rc<Worker>, peers: &Arc<Peers>, stream: &TlsStream<Tcp>, (counted, shut): (Rc<Counted>, Option<Shut>)) -> Self {
        let connection = stream.get_ref().1;
        let chain = connection.peer_certificates().unwrap_or_default().iter().map(|certificate| certificate.clone().into_owned());
        let guest = match Channel::of(connection) {
            Some(channel) => Guest::new(peers, chain.collect(), channel),
            None => Err(Unproven::NoCertificate),
        };
        let shut = shut.or(guest.as_ref().err().map(|unproven| Shut::Unproven(*unproven)));
        let guest = guest.ok().map(Rc::new);
        let caller = Caller { peer: guest.as_ref().map(|guest| guest.peer.clone()), ..Caller::default() };
        let own = Line::new(worker.clone(), Way::Mutual, Proven::remote(caller, guest.clone())).counting(Some(counted.clone()));
        let (worker, peers) = (worker.clone(), peers.clone());
        let (voices, bearers, leave) = (RefCell::default(), RefCell::default(), Notify::new());
        Self { worker, counted, peers, guest, own: Rc::new(own), shut, voices, bearers, leave }
    }

    /// Whose request this is. Whatever it says of that is taken off it.
    fn whose(&self, request: &mut Request<Incoming>) -> Result<Voice, Refusal> {
        let nobody = Voice { line: self.own.clone(), task: None };
        let Some(guest) = self.guest.as_ref().filter(|_| self.shut.is_none()) else { return Ok(nobody) };
        if let Err(unproven) = guest.is_good() {
            self.leave.notify_one();
            return Err(gate::refused(unproven));
        }
        let mut fields = request.headers().get_all(PROXY_AUTHORIZATION).iter();
        let (first, second) = (fields.next().cloned(), fields.next().is_some());
        request.headers_mut().remove(PROXY_AUTHORIZATION);
        let Some(first) = first else { return Ok(nobody) };
        let refused = |why| Refusal::new(Code::StatementRefused, why);
        let statement = first.to_str().ok().filter(|_| !second).and_then(|value| value.strip_prefix(PREFIX));
        let statement = statement.ok_or_else(|| refused("these proxy credentials are no statement of a keygress"))?;
        let uri = request.uri();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let origin = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let (behalf, trace) = guest.says(statement, Of { method: request.method().as_str(), origin: &origin, path }).map_err(refused)?;
        request.extensions_mut().insert(Trace(trace));
        Ok(self.voice(guest, behalf))
    }

    /// The token by which whoever asks proves itself, where tokens are taken; it is taken off the request.
    fn token(&self, headers: &mut HeaderMap) -> Option<Zeroizing<String>> {
        let may = self.shut.is_none_or(|shut| matches!(shut, Shut::Unproven(Unproven::NoCertificate)));
        if self.peers.issuers().is_empty() || !may || headers.get_all(PROXY_AUTHORIZATION).iter().nth(1).is_some() {
            return None;
        }
        let token = bearer::presented(headers.get(PROXY_AUTHORIZATION)?)?;
        headers.remove(PROXY_AUTHORIZATION);
        Some(token)
    }

    /// The holder of a token. What was verified on this connection a moment ago is not verified again.
    async fn bearer(&self, token: &str) -> Result<Voice, Refusal> {
        if let Some(guest) = &self.guest {
            guest.is_good().map_err(gate::refused)?;
        }
        let hash = digest(&SHA256, token.as_bytes());
        let hash = hash.as_ref();
        let found = self.bearers.borrow().get(hash).filter(|(_, at)| at.elapsed() < GOOD_FOR).map(|(voice, _)| voice.clone());
        if let Some(voice) = found {
            return voice.line.proven.is_good().map(|()| voice).map_err(gate::refused);
        }
        let bearer = self.peers.issuers().prove(token).await.map_err(gate::refused)?;
        let proven = Proven::remote(bearer.over(self.own.proven.caller.clone()), self.guest.clone()).until(bearer.until);
        let line = Line::new(self.worker.clone(), Way::Mutual, proven).counting(Some(self.counted.clone()));
        let voice = Voice { line: Rc::new(line), task: None };
        let mut bearers = self.bearers.borrow_mut();
        if bearers.len() >= VOICES_MAX {
            bearers.clear();
        }
        bearers.insert(hash.into(), (voice.clone(), Instant::now()));
        Ok(voice)
    }

    fn voice(&self, guest: &Rc<Guest>, behalf: Behalf) -> Voice {
        if let Some(voice) = self.voices.borrow().get(&behalf) {
            return voice.clone();
        }
        let peer = keygress_policy::workload::Peer { workloads: behalf.workloads.clone(), ..guest.peer.clone() };
        // Two peers may give the same id to different tasks.
        let name = peer.name().to_owned();
        let task = behalf.task.clone().map(|Task { id, labels }| RunningTask::of_peer(Task { id: format!("{id}@{name}"), labels }));
        let caller = Caller { peer: Some(peer), ..Caller::default() };
        let line = Line::new(self.worker.clone(), Way::Mutual, Proven::remote(caller, Some(Rc::clone(guest))))
            .counting(Some(self.counted.clone()));
        let voice = Voice { line: Rc::new(line), task: task.map(Arc::new) };
        let mut voices = self.voices.borrow_mut();
        if voices.len() >= VOICES_MAX {
            voices.clear();
        }
        voices.insert(behalf, voice.clone());
        voice
    }

    async fn answer(&self, mut request: Request<Incoming>, closes: Closes) -> Response<Body> {
        let is_connect = request.method() == Method::CONNECT;
        if self.worker.admission.refuses() {
            return overloaded(&self.own, is_connect).await;
        }
        let (found, shut) = match self.token(request.headers_mut()) {
            Some(token) => (self.bearer(&token).await, None),
            None => (unpanicked(|| self.whose(&mut request)).flatten(), self.shut),
        };
        let voice = match found {
            Ok(voice) => voice,
            Err(refusal) => return exchange(&self.own, Err(refusal)).await,
        };
        if shut.is_some() {
            self.leave.notify_one();
        }
        let door = Door { task: voice.task, shut, captured: None };
        if is_connect && request.version() == Version::HTTP_11 {
            return Box::pin(connect::answer(voice.line, door, request, closes)).await;
        }
        let is_h2_head = request.version() == Version::HTTP_2 && request.method() == Method::HEAD;
        let asked = unpanicked(|| gate::read_of_peer(&voice.line, door, request)).flatten();
        let mut response = exchange(&voice.line, asked).await;
        if is_h2_head {
            *response.body_mut() = Body::Empty;
        }
        response
    }
}

async fn serve(visit: Rc<Visit>, stream: TlsStream<Tcp>, mut closes: Closes) {
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let pace = Pace::default();
    let heads = if is_h2 { Heads::Untimed } else { Heads::Timed };
    let stream = TokioIo::new(Paced::new(stream, pace.clone(), heads));
    let inner = closes.clone();
    let service = service_fn(|request: Request<Incoming>| {
        let (visit, closes, pace) = (visit.clone(), inner.clone(), pace.clone());
        async move {
            let serving = pace.serving();
            let is_connect = request.method() == Method::CONNECT;
            Ok::<_, Infallible>(paced(visit.answer(request, closes).await, is_connect, &pace, serving))
        }
    });
    if is_h2 {
        let mut builder = http2_builder();
        builder.max_concurrent_streams(STREAMS_MAX).initial_connection_window_size(8 * 1024 * 1024);
        let mut connection = pin!(builder.serve_connection(stream, service));
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = closes.changed() => {}
            () = visit.leave.notified() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    } else {
        let mut connection = pin!(http1_builder().serve_connection(stream, service).with_upgrades());
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = closes.changed() => {}
            () = visit.leave.notified() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
