//! HTTP on a connection, and the ways from one to the next: each request is read at the gate and given to `exchange`.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use keygress_policy::destination::Host;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::berth::{self, Berth};
use super::pace::{self, Heads, Paced};
use super::{connect, gate, stand_in};
use crate::body::Body;
use crate::caller::{RunningTask, Unproven};
use crate::exchange::{Asked, Line, exchange, unpanicked};
use crate::refusal::{Code, Refusal};
use crate::worker::{LocalExecutor, Pace, Serving};

/// How long a connection that is refused for want of places may take to ask: it holds a descriptor.
pub(super) const REFUSED_HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection on which nothing came yet may still ask when the process drains: its first request may be under way.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// The largest head, in bytes.
pub(super) const HEAD_MAX: usize = 32 * 1024;

/// The moment from which the process drains, and until when.
pub(super) type Closes = watch::Receiver<Option<Instant>>;

/// The destination that an intercepted connection was opened for: every request in it must name it.
pub(super) struct Bound {
    pub(super) host: Host,
    pub(super) port: u16,
    /// The task that opened it.
    pub(super) task: Option<Arc<RunningTask>>,
}

/// What a plain listener knows of a connection beside its line.
#[derive(Clone)]
pub(super) struct Door {
    /// The task to which everything on the listener belongs.
    pub(super) task: Option<Arc<RunningTask>>,
    /// Why whatever comes is refused.
    pub(super) shut: Option<Shut>,
    /// Where a captured connection was dialled to.
    pub(super) captured: Option<SocketAddr>,
}

/// Why nothing that comes on a connection is carried.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shut {
    /// Nobody knows whose it is, or nobody like this is served.
    Unproven(Unproven),
    /// The caller, or the worker, holds all the connections it may.
    Full,
    /// It was dialled to a listener for captured connections.
    Direct,
}

/// A plain listener: absolute-form, CONNECT and routes.
pub(super) async fn plain(line: Rc<Line>, door: Door, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, closes: Closes) {
    let pace = Pace::default();
    let first = if matches!(door.shut, Some(Shut::Full)) { REFUSED_HEAD_TIMEOUT } else { pace::HEAD_TIMEOUT };
    let berth = Berth::default();
    let stream = Paced::with_first(stream, pace.clone(), Heads::Timed, first).lying_in(&berth);
    let begun = Cell::new(false);
    let serve = |request: Request<Incoming>| {
        begun.set(true);
        let (line, door, closes, pace) = (line.clone(), door.clone(), closes.clone(), pace.clone());
        async move {
            let serving = pace.serving();
            let is_connect = request.method() == Method::CONNECT;
            let response = if line.worker.admission.refuses() {
                overloaded(&line, is_connect).await
            } else if is_connect {
                Box::pin(connect::answer(line, door, request, closes)).await
            } else {
                let reading = reading(&pace, &request);
                let asked = match unpanicked(|| stand_in::answer(&line, &door, &request)) {
                    Ok(None) => unpanicked(|| gate::read(&line, door, request)).flatten().map(|asked| Asked { reading, ..asked }),
                    Ok(Some(Ok(response))) => return Ok(paced(response, is_connect, &pace, serving)),
                    Ok(Some(Err(refusal))) | Err(refusal) => Err(refusal),
                };
                exchange(&line, asked).await
            };
            Ok::<_, Infallible>(paced(response, is_connect, &pace, serving))
        }
    };
    http1(stream, berth, &pace, &begun, serve, closes.clone()).await;
}

/// HTTP/1.1 on one connection until that ends. While it rests for long it lies by, without all that HTTP keeps for a request.
async fn http1<S, F>(
    mut stream: Paced<S>,
    berth: Berth<S>,
    pace: &Pace,
    begun: &Cell<bool>,
    serve: impl Fn(Request<Incoming>) -> F,
    mut closes: Closes,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    loop {
        let connection = http1_builder().serve_connection(TokioIo::new(stream), service_fn(&serve)).with_upgrades();
        // Boxed, so that what lies by keeps none of it.
        if !Box::pin(carried(connection, begun, &mut closes)).await {
            return;
        }
        let Some(mut laid_by) = berth.take() else { return };
        let first = tokio::select! {
            first = berth::wakes(&mut laid_by) => first,
            _ = closes.changed() => None,
        };
        let Some(first) = first else {
            // Over TLS the caller is told that this is the end; one that is gone, or takes nothing, is not waited for.
            let _ = tokio::time::timeout(pace::WRITE_TIMEOUT, laid_by.shutdown()).await;
            return;
        };
        stream = Paced::new(laid_by, pace.clone(), Heads::Timed).lying_in(&berth).woken_by(first);
    }
}

/// Carries an HTTP/1.1 connection to its end, and says whether it may go on from a berth.
async fn carried<S, F>(connection: http1::UpgradeableConnection<TokioIo<Paced<S>>, F>, begun: &Cell<bool>, closes: &mut Closes) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: HttpService<Incoming, ResBody = Body, Error = Infallible>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        // What a client does to its own connection is its own affair; refusals are on record already.
        ended = connection.as_mut() => ended.is_ok(),
        _ = closes.changed() => {
            if !begun.get() && tokio::time::timeout(FIRST_REQUEST_GRACE, connection.as_mut()).await.is_ok() {
                return false;
            }
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
            false
        }
    }
}

/// The inside of an intercepted connection, in the protocol that ALPN settled.
pub(super) async fn intercepted(
    line: Rc<Line>,
    bound: Bound,
    stream: tokio_rustls::server::TlsStream<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
    mut closes: Closes,
) {
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let pace = Pace::default();
    let heads = if is_h2 { Heads::Untimed } else { Heads::Timed };
    let stream = Paced::new(stream, pace.clone(), heads);
    let begun = Cell::new(false);
    let serve = |request: Request<Incoming>| {
        begun.set(true);
        let (line, pace, serving) = (line.clone(), pace.clone(), pace.serving());
        let is_h2_head = is_h2 && request.method() == Method::HEAD;
        let reading = reading(&pace, &request);
        let read = || unpanicked(|| gate::read_bound(&line, &bound, request)).flatten().map(|asked| Asked { reading, ..asked });
        let asked = if line.worker.admission.refuses() { Err(overload()) } else { read() };
        async move {
            let mut response = exchange(&line, asked).await;
            if is_h2_head {
                // Over HTTP/2 hyper sends the body that it is given, and the answer to a HEAD has none (RFC 9110, section 9.3.2).
                *response.body_mut() = Body::Empty;
            }
            Ok::<_, Infallible>(paced(response, false, &pace, serving))
        }
    };
    if is_h2 {
        let mut connection = pin!(http2_builder().serve_connection(TokioIo::new(stream), service_fn(serve)));
        tokio::select! {
            _ = connection.as_mut() => {}
            _ = closes.changed() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    } else {
        let berth = Berth::default();
        http1(stream.lying_in(&berth), berth, &pace, &begun, serve, closes).await;
    }
}

/// Holds the connection of a request from rest until its body is read: an answer may be through before.
fn reading(pace: &Pace, request: &Request<Incoming>) -> Option<Serving> {
    (!request.body().is_end_stream()).then(|| pace.reading())
}

/// Refuses before anything is read: that is what makes it cheap.
pub(super) async fn overloaded(line: &Line, is_connect: bool) -> Response<Body> {
    let mut response = exchange(line, Err(overload())).await;
    if is_connect {
        // RFC 9931: what follows a refused CONNECT is never read as a request.
        response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
    response
}

fn overload() -> Refusal {
    Refusal::new(Code::Overloaded, "what is ready waits too long for its turn").retry_after(Some(1))
}

/// Binds the pace to the response: its connection rests when the body is through, or never again where it became a tunnel.
pub(super) fn paced(mut response: Response<Body>, is_connect: bool, pace: &Pace, serving: Serving) -> Response<Body> {
    let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS || (is_connect && response.status().is_success());
    if is_tunnel {
        pace.tunnelled();
    }
    response.body_mut().keep(serving);
    response
}

pub(super) fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Its own timer counts rests too, and is shorter: `Paced` alone decides how long a caller may take.
    // 100 headers are hyper's own limit; setting it would put the list on the heap for every message.
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(2 * HEAD_MAX);
    builder
}

pub(super) fn http2_builder() -> http2::Builder<LocalExecutor> {
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_header_list_size(HEAD_MAX as u32)
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: api.test\r\n\r\n";

    /// Sends a request and reads its answer.
    async fn ask(caller: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> String {
        caller.write_all(request).await.unwrap();
        let mut answer = vec![0; 1024];
        let length = caller.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_lies_by_as_often_as_it_rests_and_its_end_is_the_callers() {
        let (mut caller, stream) = tokio::io::duplex(1024);
        let (pace, berth, begun, served) = (Pace::default(), Berth::default(), Cell::new(false), Cell::new(0));
        let (_open, closes) = watch::channel(None);
        let serve = |_: Request<Incoming>| {
            served.set(served.get() + 1);
            let response = paced(Response::new(Body::Empty), false, &pace, pace.serving());
            async { Ok(response) }
        };
        let stream = Paced::new(stream, pace.clone(), Heads::Timed).lying_in(&berth);
        let asking = async {
            for _ in 0..3 {
                assert!(ask(&mut caller, REQUEST).await.starts_with("HTTP/1.1 200 OK\r\n"));
                tokio::time::sleep(2 * pace::HEAD_TIMEOUT).await;
            }
            // What came behind a request and is no whole head in time is lost with the connection.
            assert!(ask(&mut caller, &[REQUEST, b"GET /"].concat()).await.starts_with("HTTP/1.1 200 OK\r\n"));
            assert_eq!(ask(&mut caller, b"").await, "");
        };
        tokio::join!(http1(stream, berth, &pace, &begun, serve, closes), asking);
        assert_eq!(served.get(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_lies_by_goes_when_the_process_drains_and_when_it_rests_too_long() {
        for drains in [true, false] {
            let (mut caller, stream) = tokio::io::duplex(1024);
            let (pace, berth, begun) = (Pace::default(), Berth::default(), Cell::new(false));
            let (open, closes) = watch::channel(None);
            let serve = |_: Request<Incoming>| {
                let response = paced(Response::new(Body::Empty), false, &pace, pace.serving());
                async { Ok(response) }
            };
            let stream = Paced::new(stream, pace.clone(), Heads::Timed).lying_in(&berth);
            let began = tokio::time::Instant::now();
            let asking = async {
                assert!(ask(&mut caller, REQUEST).await.starts_with("HTTP/1.1 200 OK\r\n"));
                tokio::time::sleep(2 * pace::HEAD_TIMEOUT).await;
                if drains {
                    open.send_replace(Some(Instant::now()));
                }
                assert_eq!(ask(&mut caller, b"").await, "");
            };
            tokio::join!(http1(stream, berth, &pace, &begun, serve, closes), asking);
            assert_eq!(began.elapsed(), if drains { 2 * pace::HEAD_TIMEOUT } else { pace::REST_TIMEOUT });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_taken_late_comes_whole() {
        let (mut caller, stream) = tokio::io::duplex(1024);
        let (pace, berth, begun) = (Pace::default(), Berth::default(), Cell::new(false));
        let (_open, closes) = watch::channel(None);
        let serve = |_: Request<Incoming>| {
            let response = paced(Response::new(Body::text(vec![b'x'; 8000].into())), false, &pace, pace.serving());
            async { Ok(response) }
        };
        let stream = Paced::new(stream, pace.clone(), Heads::Timed).lying_in(&berth);
        let asking = async {
            caller.write_all(REQUEST).await.unwrap();
            tokio::time::sleep(2 * pace::HEAD_TIMEOUT).await;
            let (mut taken, mut some) = (0, vec![0; 512]);
            while taken < 8000 {
                let length = caller.read(&mut some).await.unwrap();
                assert!(length > 0, "it ends at {taken}");
                taken += some[..length].iter().filter(|byte| **byte == b'x').count();
            }
            drop(caller);
        };
        tokio::join!(http1(stream, berth, &pace, &begun, serve, closes), asking);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_body_is_never_a_request() {
        let (mut caller, stream) = tokio::io::duplex(1024);
        let (pace, berth, begun, held) = (Pace::default(), Berth::default(), Cell::new(false), Cell::new(Vec::new()));
        let (_open, closes) = watch::channel(None);
        let serve = |request: Request<Incoming>| {
            let reading = reading(&pace, &request);
            let mut all = held.take();
            all.push((request, reading));
            held.set(all);
            let response = paced(Response::new(Body::Empty), false, &pace, pace.serving());
            async { Ok(response) }
        };
        let stream = Paced::new(stream, pace.clone(), Heads::Timed).lying_in(&berth);
        let asking = async {
            let post = b"POST / HTTP/1.1\r\nhost: api.test\r\ncontent-length: 500\r\n\r\n".as_slice();
            assert!(ask(&mut caller, post).await.starts_with("HTTP/1.1 200 OK\r\n"), "before the body");
            tokio::time::sleep(2 * pace::HEAD_TIMEOUT).await;
            caller.write_all(REQUEST).await.unwrap();
            tokio::time::sleep(2 * pace::HEAD_TIMEOUT).await;
        };
        tokio::select! {
            () = http1(stream, berth, &pace, &begun, serve, closes) => {}
            () = asking => {}
        }
        assert_eq!(held.take().len(), 1);
    }
}
