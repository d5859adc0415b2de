//! A TLS upstream in this process, HTTP/1.1 and HTTP/2, that remembers what it saw: what arrives here is what keygress let out.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::site::{Certificate, Site, Validity};

type Body = BoxBody<Bytes, Infallible>;

/// How much of a body is remembered.
const BODY_BYTES_KEPT: usize = 64 << 10;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// HTTP version.
    pub version: Version,
    /// Headers.
    pub headers: HeaderMap,
    /// Length of the body.
    pub body_bytes: u64,
    /// The body, as far as it is kept: its first 64 KiB.
    pub body: Bytes,
    /// Trailers, where there were any.
    pub trailers: Option<HeaderMap>,
}

impl Seen {
    /// Every value of a header, in order.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }
}

/// A running upstream. Its paths: `/events`, `/next`, `/upload`, `/progress/N`, `/trailers`, `/ws`, `/status/N`, `/mirror` (the body
/// comes back), `/broken` (ends too early), `/hello/never` (is not answered); everything else answers `hello`.
pub struct Echo {
    /// Its port.
    pub port: u16,
    state: Arc<State>,
    /// Ends with the handle.
    _runtime: Runtime,
}

/// Whether it speaks TLS.
enum Transport {
    Tls(TlsAcceptor),
    Plain,
}

struct State {
    seen: Mutex<Vec<Seen>>,
    /// Connections so far.
    connections: AtomicUsize,
    /// Told of every request.
    arrived: Condvar,
    /// Requests to `/next` so far: `/events` waits for it.
    next: watch::Sender<u64>,
    /// Bytes of uploads so far: `/progress/N` waits for it.
    received: watch::Sender<u64>,
}

impl Echo {
    /// Starts it with a good certificate for this host.
    ///
    /// # Errors
    /// Where no port or certificate can be had.
    pub fn start(site: &Site, host: &str) -> Result<Self> {
        Self::with_certificate(&site.certificate(host, Validity::Current)?)
    }

    /// Starts it with this certificate.
    ///
    /// # Errors
    /// Where it is none.
    pub fn with_certificate(certificate: &Certificate) -> Result<Self> {
        Self::serve(Transport::Tls(TlsAcceptor::from(Arc::new(tls(certificate, &[b"h2", b"http/1.1"])?))))
    }

    /// Starts it with a good certificate for this host; it speaks HTTP/1.1 alone.
    ///
    /// # Errors
    /// Where no port or certificate can be had.
    pub fn http1(site: &Site, host: &str) -> Result<Self> {
        let certificate = site.certificate(host, Validity::Current)?;
        Self::serve(Transport::Tls(TlsAcceptor::from(Arc::new(tls(&certificate, &[b"http/1.1"])?))))
    }

    /// Starts it without TLS: HTTP/1.1 only.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn plain() -> Result<Self> {
        Self::serve(Transport::Plain)
    }

    fn serve(transport: Transport) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            arrived: Condvar::new(),
            next: watch::Sender::new(0),
            received: watch::Sender::new(0),
        });
        let transport = Arc::new(transport);
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                // A client that breaks off is its own business.
                tokio::spawn(connection(stream, Arc::clone(&transport), Arc::clone(&shared)));
            }
        });
        Ok(Self { port, state, _runtime: runtime })
    }

    /// Every request so far, in order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections came so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Waits until a request for this target is there, at most 20 s. Whether it came.
    #[must_use]
    pub fn await_target(&self, target: &str) -> bool {
        let is_missing = |seen: &mut Vec<Seen>| !seen.iter().any(|seen| seen.target == target);
        let seen = self.state.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.state.arrived.wait_timeout_while(seen, Duration::from_secs(60), is_missing);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

pub(super) fn tls(certificate: &Certificate, protocols: &[&[u8]]) -> Result<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let chain = vec![CertificateDer::from_pem_slice(certificate.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

async fn connection(stream: TcpStream, transport: Arc<Transport>, state: Arc<State>) -> Result<()> {
    let service = service_fn(move |request| answer(request, Arc::clone(&state)));
    let http1 = hyper::server::conn::http1::Builder::new();
    let stream = match transport.as_ref() {
        Transport::Plain => return Ok(http1.serve_connection(TokioIo::new(stream), service).with_upgrades().await?),
        Transport::Tls(acceptor) => acceptor.accept(stream).await?,
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        return Ok(http2.serve_connection(TokioIo::new(stream), service).await?);
    }
    Ok(http1.serve_connection(TokioIo::new(stream), service).with_upgrades().await?)
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Body>> {
    let is_head = request.method() == http::Method::HEAD;
    let mut response = answer_whole(request, state).await?;
    // hyper leaves out the body for HTTP/1.1 alone.
    if is_head {
        let bytes = response.body().size_hint().exact().unwrap_or_default();
        response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    if is_head || response.status() == StatusCode::NOT_MODIFIED {
        *response.body_mut() = Full::default().boxed();
    }
    Ok(response)
}

async fn answer_whole(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Body>> {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/events" => {
            let next = state.next.subscribe();
            state.read(request).await?;
            Ok(events(next))
        }
        "/next" => {
            state.read(request).await?;
            state.next.send_modify(|count| *count += 1);
            Ok(text(StatusCode::OK, "next\n"))
        }
        "/trailers" => {
            state.read(request).await?;
            Ok(with_trailers())
        }
        "/hello/never" => {
            state.read(request).await?;
            std::future::pending().await
        }
        "/broken" => {
            state.read(request).await?;
            Ok(broken())
        }
        "/ws" => state.web_socket(request),
        "/mirror" => {
            let body = state.read(request).await?;
            Ok(Response::new(Full::new(body).boxed()))
        }
        _ => match path.strip_prefix("/progress/").map(str::parse::<u64>) {
            Some(bytes) => {
                let bytes = bytes?;
                state.received.subscribe().wait_for(|received| *received >= bytes).await?;
                Ok(text(StatusCode::OK, "received\n"))
            }
            None => {
                let status = path.strip_prefix("/status/").and_then(|status| status.parse().ok()).unwrap_or(StatusCode::OK);
                state.read(request).await?;
                Ok(text(status, "hello\n"))
            }
        },
    }
}

impl State {
    /// Reads a request to its end, counts its bytes as they come, and remembers it.
    async fn read(&self, request: Request<Incoming>) -> Result<Bytes> {
        let (head, mut body) = request.into_parts();
        let mut read = Vec::new();
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(bytes) => {
                    self.received.send_modify(|received| *received += bytes.len() as u64);
                    read.extend_from_slice(&bytes);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        let read = Bytes::from(read);
        self.remember(&head, &read, trailers);
        Ok(read)
    }

    fn remember(&self, head: &http::request::Parts, body: &Bytes, trailers: Option<HeaderMap>) {
        let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let seen = Seen {
            method: head.method.to_string(),
            target,
            version: head.version,
            headers: head.headers.clone(),
            body_bytes: body.len() as u64,
            body: body.slice(..body.len().min(BODY_BYTES_KEPT)),
            trailers,
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        self.arrived.notify_all();
    }

    /// Switches to WebSocket and sends every message back.
    fn web_socket(&self, mut request: Request<Incoming>) -> Result<Response<Body>> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, _) = request.into_parts();
        self.remember(&head, &Bytes::new(), None);
        let key = head.headers.get(SEC_WEBSOCKET_KEY).context("no WebSocket key")?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))?;
        tokio::spawn(async move {
            let stream = TokioIo::new(upgrade.await?);
            let (mut sink, mut messages) = WebSocketStream::from_raw_socket(stream, Role::Server, None).await.split();
            while let Some(Ok(message)) = messages.next().await {
                if message.is_text() || message.is_binary() {
                    sink.send(message).await?;
                }
            }
            Ok::<_, anyhow::Error>(())
        });
        let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
        let headers = response.headers_mut();
        headers.remove(CONTENT_TYPE);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        Ok(response)
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::from(body).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Two server-sent events; the second leaves only after somebody has asked for `/next`.
fn events(mut next: watch::Receiver<u64>) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let event = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
        sender.send(event("data: first\n\n")).await?;
        next.changed().await?;
        sender.send(event("data: second\n\n")).await?;
        Ok::<_, anyhow::Error>(())
    });
    let mut response = Response::new(streamed(receiver));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Promises 100 bytes, and breaks off after 6.
fn broken() -> Response<Body> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move { sender.send(Ok(Frame::data(Bytes::from_static(b"hello\n")))).await });
    let mut response = Response::new(streamed(receiver));
    response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(100));
    response
}

fn with_trailers() -> Response<Body> {
    let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("x-checksum"), HeaderValue::from_static("abc"))]);
    let body = Full::new(Bytes::from_static(b"body\n")).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(http::header::TRAILER, HeaderValue::from_static("x-checksum"));
    response
}

fn streamed(receiver: mpsc::Receiver<Result<Frame<Bytes>, Infallible>>) -> Body {
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|frame| (frame, receiver)) });
    BodyExt::boxed(StreamBody::new(Box::pin(frames)))
}

/// The one request of an upstream that should have seen exactly one.
///
/// # Errors
/// Where it saw none, or more.
pub fn only(mut seen: Vec<Seen>) -> Result<Seen> {
    match (seen.pop(), seen.is_empty()) {
        (Some(one), true) => Ok(one),
        (last, _) => Err(anyhow!("{} requests arrived, not one: {seen:?} {last:?}", seen.len() + usize::from(last.is_some()))),
    }
}
