//! The connector: a checked address is dialled, and its certificate verified for the name that the policy has.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use keygress_policy::destination::{Host, Scheme};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::broker::{self, Brokers};
use super::dial::Dialer;
use super::pool::Link;
use crate::body::Body;
use crate::client_auth::{ClientAuth, Showing};
use crate::refusal::{Code, Refusal};
use crate::stream::Tcp;
use crate::worker::LocalExecutor;

/// How long resolving, dialling and the TLS handshake may take together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a request goes, as policy and our own resolution have it: nothing here is what the caller merely claims.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// The scheme.
    pub scheme: Scheme,
    /// The host: resolved, and the name that the certificate must prove.
    pub host: &'t Host,
    /// The port.
    pub port: u16,
    /// Private addresses that the rule permits.
    pub allow_ips: &'t [IpNet],
    /// Only HTTP/1.1 will do.
    pub http1_only: bool,
    /// What proves us to the destination in the handshake.
    pub client_auth: Option<&'t Arc<ClientAuth>>,
    /// The broker through which it is reached, by name.
    pub via: Option<&'t Arc<str>>,
}

/// Makes verified connections. One a process; what it shares between workers is read only.
pub struct Connector {
    any: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    dialer: Dialer,
    brokers: Brokers,
}

impl Connector {
    /// Verifies upstreams with these roots. `pins` answers for names instead of DNS (demo and tests); the guard holds for them as for any other.
    #[must_use]
    pub fn new(roots: Arc<RootCertStore>, pins: HashMap<Host, IpAddr>) -> Self {
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Self { any: offering(&[b"h2", b"http/1.1"]), http1: offering(&[b"http/1.1"]), dialer: Dialer::new(pins), brokers: Brokers::new() }
    }

    /// Reaches these brokers too.
    #[must_use]
    pub fn with_brokers(self, brokers: Brokers) -> Self {
        Self { brokers, ..self }
    }

    /// Names a listener of ours: it is never dialled, so that no request goes in circles.
    pub fn is_own(&self, listener: SocketAddr) {
        self.dialer.is_own(listener);
    }

    /// Whether an address is that of a listener of ours.
    #[must_use]
    pub fn leads_here(&self, address: &SocketAddr) -> bool {
        self.dialer.leads_here(address)
    }

    /// A fresh connection that speaks HTTP.
    ///
    /// # Errors
    /// [`Code::Unresolvable`], [`Code::AddressRefused`], [`Code::Unreachable`], [`Code::UpstreamUnverified`], [`Code::UpstreamTimeout`],
    /// [`Code::BrokerUnavailable`].
    pub async fn connect(&self, target: &Target<'_>) -> Result<Link, Refusal> {
        // Boxed, since few requests dial: every connection from a caller holds room for all that one of its requests may come to.
        Box::pin(within(async {
            if target.via.is_some() {
                return broker::connect(&self.brokers, &self.dialer, target).await;
            }
            let stream = Tcp(self.dialer.dial(target).await?);
            match target.scheme {
                Scheme::Http => speak_h1(stream, target).await,
                Scheme::Https => self.secure(stream, target).await,
            }
        }))
        .await
    }

    /// A fresh connection for a blind tunnel: the same guard, no TLS of ours.
    ///
    /// # Errors
    /// As [`Connector::connect`], but for the certificate.
    pub async fn dial(&self, target: &Target<'_>) -> Result<TcpStream, Refusal> {
        self.dialer.dial(target).await
    }

    async fn secure(&self, stream: Tcp, target: &Target<'_>) -> Result<Link, Refusal> {
        let name = match target.host {
            Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|_| unverified(target))?,
            Host::Ip(ip) => ServerName::IpAddress((*ip).into()),
        };
        let config = if target.http1_only { &self.http1 } else { &self.any };
        let showing = target.client_auth.map(|auth| auth.showing());
        let config = showing.as_ref().map_or_else(|| config.clone(), |showing| shown(config, showing));
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| tls_refusal(target, &error))?;
        if showing.is_some_and(|showing| !showing.was_shown()) {
            let why = format!("`{}` did not ask for a client certificate, or for none that the key can prove", target.host);
            return Err(Refusal::new(Code::UpstreamUnverified, why));
        }
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") { speak_h2(stream).await } else { speak_h1(stream, target).await }
    }
}

/// The configuration of one connection with a certificate. Sessions of it are not resumed: they would prove one holder where another asks.
fn shown(config: &ClientConfig, showing: &Arc<Showing>) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.resumption = Resumption::disabled();
    config.client_auth_cert_resolver = Arc::clone(showing) as _;
    Arc::new(config)
}

async fn within<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(CONNECT_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(Refusal::new(Code::UpstreamTimeout, "the destination did not complete the connection in time")))
}

pub(super) async fn speak_h1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, target: &Target<'_>) -> Result<Link, Refusal> {
    let (sender, connection) = http1::Builder::new().handshake::<_, Body>(TokioIo::new(stream)).await.map_err(|_| broke_off())?;
    // A connection that was not made for an upgrade hands none out, whatever its upstream answers.
    if target.http1_only {
        tokio::task::spawn_local(connection.with_upgrades());
    } else {
        tokio::task::spawn_local(connection);
    }
    Ok(Link::h1(sender))
}

pub(super) async fn speak_h2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Result<Link, Refusal> {
    let (sender, connection) = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .max_header_list_size(32 * 1024)
        .handshake::<_, Body>(TokioIo::new(stream))
        .await
        .map_err(|_| broke_off())?;
    tokio::task::spawn_local(connection);
    Ok(Link::h2(sender))
}

fn broke_off() -> Refusal {
    Refusal::new(Code::UpstreamFailed, "the destination broke off before a request was sent")
}

fn unverified(target: &Target<'_>) -> Refusal {
    Refusal::new(Code::UpstreamUnverified, format!("the certificate presented for `{}` does not prove that name", target.host))
}

/// A certificate that proves nothing is not a network fault: say which.
fn tls_refusal(target: &Target<'_>, error: &std::io::Error) -> Refusal {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let why = match cause {
        Some(rustls::Error::InvalidCertificate(problem)) => match problem {
            rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => "has expired",
            rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. } => "is for another name",
            rustls::CertificateError::UnknownIssuer => "comes from an issuer that is not trusted",
            _ => "is not valid",
        },
        Some(_) => return Refusal::new(Code::UpstreamUnverified, format!("the TLS handshake with `{}` failed", target.host)),
        None => return Refusal::new(Code::Unreachable, format!("`{}` broke off during the TLS handshake", target.host)),
    };
    Refusal::new(Code::UpstreamUnverified, format!("the certificate presented for `{}` {why}", target.host))
}
