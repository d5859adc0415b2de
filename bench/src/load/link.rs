//! A connection to the upstream, by any way.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::check::Wrong;
use super::{Plan, Protocol, Reuse, Way};
use crate::wire::{self, Here, Io, Outgoing};

/// Makes connections as a plan says. One a thread.
pub(super) struct Dialer {
    plan: Arc<Plan>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection that speaks HTTP.
pub(super) enum Link {
    /// HTTP/1.1: one request at a time.
    Http1(http1::SendRequest<Outgoing>),
    /// HTTP/2: may be cloned, several requests at a time.
    Http2(http2::SendRequest<Outgoing>),
}

/// How a connection came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// From nothing.
    Fresh,
    /// With the TLS session of one before.
    Resumed,
}

impl Dialer {
    /// Reads what TLS trusts.
    pub(super) fn new(plan: Arc<Plan>) -> anyhow::Result<Self> {
        let tls = match plan.way {
            Way::Absolute | Way::Origin { .. } => None,
            Way::Connect | Way::Tls => Some((tls(&plan)?, server_name(&plan.authority)?)),
        };
        Ok(Self { plan, tls })
    }

    /// A fresh connection.
    pub(super) async fn dial(&self) -> Result<(Link, Made), Wrong> {
        let stream = TcpStream::connect(self.plan.address).await.map_err(|error| Wrong::Connect(error.kind()))?;
        stream.set_nodelay(true).map_err(|error| Wrong::Connect(error.kind()))?;
        let stream: Box<dyn wire::Stream> = match self.plan.way {
            Way::Connect => self.tunnel(stream).await?,
            Way::Absolute | Way::Origin { .. } | Way::Tls => Box::new(stream),
        };
        let Some((connector, name)) = &self.tls else { return Ok((speak(self.plan.protocol, TokioIo::new(stream)).await?, Made::Fresh)) };
        let stream = connector.connect(name.clone(), stream).await.map_err(|_| Wrong::Handshake)?;
        let session = stream.get_ref().1;
        let made = if session.handshake_kind() == Some(HandshakeKind::Resumed) { Made::Resumed } else { Made::Fresh };
        let is_h2 = session.alpn_protocol() == Some(b"h2");
        if is_h2 != (self.plan.protocol == Protocol::Http2) {
            return Err(Wrong::Handshake);
        }
        Ok((speak(self.plan.protocol, wire::io(stream)).await?, made))
    }

    /// Asks the proxy for a tunnel, and takes the socket back out of HTTP.
    async fn tunnel(&self, stream: TcpStream) -> Result<Box<dyn wire::Stream>, Wrong> {
        let (mut sender, connection) = http1::handshake(wire::io(stream)).await.map_err(|_| Wrong::BrokeOff)?;
        tokio::task::spawn_local(connection.with_upgrades());
        let request = Request::connect(&self.plan.authority).header(http::header::HOST, &self.plan.authority).body(Outgoing::Letters(0));
        let response = sender.send_request(request.map_err(|_| Wrong::BrokeOff)?).await.map_err(|_| Wrong::BrokeOff)?;
        if !response.status().is_success() {
            return Err(Wrong::ConnectRefused(response.status().as_u16()));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|_| Wrong::BrokeOff)?;
        match upgraded.downcast::<Io>() {
            // Before the ClientHello there is nothing that a server could have to say.
            Ok(parts) if parts.read_buf.is_empty() => Ok(parts.io.into_inner()),
            Ok(_) | Err(_) => Err(Wrong::BrokeOff),
        }
    }
}

async fn speak(protocol: Protocol, stream: Io) -> Result<Link, Wrong> {
    match protocol {
        Protocol::Http1 => {
            let (sender, connection) = http1::handshake(stream).await.map_err(|_| Wrong::BrokeOff)?;
            tokio::task::spawn_local(connection.with_upgrades());
            Ok(Link::Http1(sender))
        }
        Protocol::Http2 => {
            let (sender, connection) = http2::Builder::new(Here)
                .initial_stream_window_size(1024 * 1024)
                .initial_connection_window_size(8 * 1024 * 1024)
                .handshake(stream)
                .await
                .map_err(|_| Wrong::BrokeOff)?;
            tokio::task::spawn_local(connection);
            Ok(Link::Http2(sender))
        }
    }
}

impl Link {
    /// Sends one request; its response has begun when this returns.
    pub(super) async fn send(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, Wrong> {
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await.map_err(|_| Wrong::BrokeOff)?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await.map_err(|_| Wrong::BrokeOff)?;
                sender.send_request(request).await
            }
        };
        response.map_err(|_| Wrong::BrokeOff)
    }

    /// Another user of the same connection, where it can have one.
    pub(super) fn shared(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

fn tls(plan: &Plan) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(plan.trust_pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = match plan.protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    if plan.reuse == (Reuse::Never { resume: false }) {
        config.resumption = Resumption::disabled();
    }
    Ok(TlsConnector::from(Arc::new(config)))
}

fn server_name(authority: &str) -> anyhow::Result<ServerName<'static>> {
    let authority: http::uri::Authority = authority.parse()?;
    Ok(ServerName::try_from(authority.host().trim_matches(['[', ']']).to_owned())?)
}
