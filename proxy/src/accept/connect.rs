//! `CONNECT`: intercepted where a rule has a credential, a method or a path; blind where the policy passes the host alone.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use keygress_policy::destination::Host;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::gate;
use super::serve::{self, Bound, Closes, Door};
use super::transparent::Replay;
use crate::body::Body;
use crate::exchange::{Line, Opened, Way, exchange, open, unpanicked};
use crate::refusal::{Code, Refusal};
use crate::stops::Tie;

/// How long a caller may take for its TLS handshake.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The first byte of every ClientHello: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Answers a `CONNECT`; what follows runs beside the connection's own task.
pub(super) async fn answer(line: Rc<Line>, door: Door, mut request: Request<Incoming>, closes: Closes) -> Response<Body> {
    let asked = unpanicked(|| gate::read_connect(&line, door, &request)).flatten();
    let bound = asked.as_ref().ok().map(|asked| Bound { host: asked.host.clone(), port: asked.port, task: asked.task.clone() });
    let opened = match open(&line, asked).await {
        Ok(opened) => opened,
        Err(refused) => return refused,
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::task::spawn_local(async move {
        // A caller that breaks off here asked for nothing yet.
        let Ok(upgraded) = upgrade.await else { return };
        let _counted = line.counted();
        match (opened, bound) {
            (Opened::Tunnel(upstream, tie), _) => tunnel(TokioIo::new(upgraded), upstream, &tie).await,
            (Opened::Intercept, Some(bound)) => {
                let inner = Line::new(line.worker.clone(), Way::Intercept, line.proven.clone());
                let inner = Rc::new(inner.counting(line.counted()));
                intercept(inner, bound, Beneath::Upgraded(TokioIo::new(upgraded)), closes).await;
            }
            (Opened::Intercept, None) => {}
        }
    });
    Response::new(Body::Empty)
}

/// Carries bytes both ways until either side ends, or a stop ends both.
pub(super) async fn tunnel(mut caller: impl AsyncRead + AsyncWrite + Unpin, mut upstream: TcpStream, tie: &Tie) {
    // Either side may break off, or a stop may end it: that ends both, and there is nobody left to tell.
    let _ = tie.unless_cut(pin!(tokio::io::copy_bidirectional(&mut caller, &mut upstream))).await;
}

/// Proves the host to the caller with a leaf of ours, and serves what it asks inside.
pub(super) async fn intercept(line: Rc<Line>, bound: Bound, caller: Beneath, closes: Closes) {
    let handshake = async {
        // Anything but a ClientHello ends here: what is no TLS with its first byte, which would else wait for a record to be whole.
        let mut caller = caller;
        let first = caller.read_u8().await.ok()?;
        if first != HANDSHAKE {
            let refusal = Refusal::new(Code::BadRequest, "what follows the CONNECT is not TLS");
            let _on_record = exchange(&line, Err(refusal)).await;
            return None;
        }
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut [first].as_slice()).ok()?;
        let start = LazyConfigAcceptor::new(acceptor, caller).await.ok()?;
        if !names(&bound.host, start.client_hello().server_name()) {
            let refusal = Refusal::new(Code::Misdirected, "the TLS server name is not the host that the connection was opened for");
            let _on_record = exchange(&line, Err(refusal)).await;
            return None;
        }
        let config = match line.shared().authority.server_config(&bound.host) {
            Ok(config) => config,
            Err(error) => {
                tracing::warn!(host = %bound.host, %error, "no leaf for an intercepted host");
                return None;
            }
        };
        start.into_stream(config).await.ok()
    };
    // Boxed, so that it leaves nothing behind for the rest of the connection.
    if let Ok(Some(stream)) = Box::pin(tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)).await {
        serve::intercepted(line, bound, stream, closes).await;
    }
}

/// Whether a server name agrees with the host of the CONNECT; an address literal has none (RFC 6066, section 3).
fn names(host: &Host, server_name: Option<&str>) -> bool {
    match (host, server_name) {
        (_, None) => true,
        (Host::Name(name), Some(asked)) => name.eq_ignore_ascii_case(asked),
        (Host::Ip(_), Some(_)) => false,
    }
}

/// What an intercepted connection runs over. One type for both, so that what serves them is built once.
pub(super) enum Beneath {
    /// A `CONNECT`.
    Upgraded(TokioIo<Upgraded>),
    /// A captured connection.
    Captured(Replay),
}

impl AsyncRead for Beneath {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Upgraded(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Captured(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Beneath {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Upgraded(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Captured(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Upgraded(stream) => Pin::new(stream).poll_flush(cx),
            Self::Captured(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Upgraded(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Captured(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Upgraded(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Captured(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Upgraded(stream) => stream.is_write_vectored(),
            Self::Captured(stream) => stream.is_write_vectored(),
        }
    }
}
