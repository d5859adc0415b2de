//! An HTTP server on loopback, with or without TLS, HTTP/1.1 and HTTP/2: the upstream and the issuer stand on it.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::wire::{self, Here, Io, Outgoing};

/// How long accepting rests when there is no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(20);

/// What answers requests.
pub(crate) type Service = Rc<dyn Fn(Request<Incoming>) -> Answer>;

/// An answer that is being made.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Response<Outgoing>>>>;

/// Serves everyone who connects, for ever. Inside a `LocalSet`.
pub(crate) async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, service: Service) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A socket without it is slower, no less right.
                let _ = stream.set_nodelay(true);
                tokio::task::spawn_local(connection(stream, acceptor.clone(), Rc::clone(&service)));
            }
            Err(_) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, service: Service) {
    let Some(acceptor) = acceptor else { return http(wire::io(stream), Speaks::Http1, service).await };
    // Whoever breaks off during the handshake, or after it, is the client's to count.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let speaks = if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Speaks::Http2 } else { Speaks::Http1 };
    http(wire::io(stream), speaks, service).await;
}

enum Speaks {
    Http1,
    Http2,
}

async fn http(stream: Io, speaks: Speaks, service: Service) {
    let service = service_fn(move |request| {
        let answer = service(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let _how_it_ended = match speaks {
        Speaks::Http1 => http1::Builder::new().serve_connection(stream, service).await,
        Speaks::Http2 => {
            let mut builder = http2::Builder::new(Here);
            builder.initial_stream_window_size(1024 * 1024).initial_connection_window_size(8 * 1024 * 1024);
            builder.max_concurrent_streams(1024).serve_connection(stream, service).await
        }
    };
}
