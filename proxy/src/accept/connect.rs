//! `CONNECT`: intercepted where a rule has a credential, a method or a path; blind where the policy passes the host alone.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use keygress_policy::destination::Host;
use rustls::server::Acceptor;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::gate;
use super::serve::{self, Bound, Closes, Door};
use crate::body::Body;
use crate::exchange::{Line, Opened, Way, exchange, open};
use crate::refusal::{Code, Refusal};
use crate::stops::Tie;

/// How long a caller may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The first byte of every ClientHello: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Answers a `CONNECT`; what follows runs beside the connection's own task.
pub(super) async fn answer(line: Rc<Line>, door: Door, mut request: Request<Incoming>, closes: Closes) -> Response<Body> {
    let asked = gate::read_connect(&line, door, &request);
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
            (Opened::Tunnel(upstream, tie), _) => tunnel(upgraded, upstream, &tie).await,
            (Opened::Intercept, Some(bound)) => intercept(&line, bound, upgraded, closes).await,
            (Opened::Intercept, None) => {}
        }
    });
    Response::new(Body::Empty)
}

async fn tunnel(caller: Upgraded, mut upstream: TcpStream, tie: &Tie) {
    let mut caller = TokioIo::new(caller);
    // Either side may break off, or a stop may end it: that ends both, and there is nobody left to tell.
    let _ = tie.unless_cut(pin!(tokio::io::copy_bidirectional(&mut caller, &mut upstream))).await;
}

async fn intercept(outer: &Rc<Line>, bound: Bound, caller: Upgraded, closes: Closes) {
    let line = Line::new(outer.worker.clone(), Way::Intercept, outer.proven.clone());
    let line = Rc::new(line.counting(outer.counted()));
    let handshake = async {
        // Anything but a ClientHello ends here: what is no TLS with its first byte, which would else wait for a record to be whole.
        let mut caller = TokioIo::new(caller);
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
            let refusal = Refusal::new(Code::Misdirected, "the TLS server name is not the host that CONNECT named");
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
