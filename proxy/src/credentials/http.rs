/// Where a provider calls.
mod endpoint;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::http::header::{ACCEPT, DATE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::Uri;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use keygress_policy::material::Secret;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::identity::Identity;
use crate::stream;

pub(super) use endpoint::Endpoint;

/// RFC 9449, section 8.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// From the first look-up to the last byte of the answer.
const EXCHANGE_TIME: Duration = Duration::from_secs(5);

/// The largest answer, in bytes; also the largest head.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The HTTP client of the providers: one connection a call, HTTP/1.1, TLS verified for the name in the policy, no redirects, no proxy,
/// at most 5 s and 64 KiB.
///
/// The operator wrote the URLs, so private addresses are allowed: the certificate is verified for the name all the same, and plain
/// HTTP goes to loopback only. Link-local and metadata addresses, which answer anybody, are never called but by the providers that are
/// made for them.
pub(super) struct Http {
    tls: Option<Arc<ClientConfig>>,
    roots: Arc<RootCertStore>,
}

/// What is asked.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) endpoint: &'a Endpoint,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// The client certificate that is shown.
    pub(super) identity: Option<Identity>,
    /// Who verifies the endpoint, where that is not the roots of the process.
    pub(super) roots: Option<Arc<RootCertStore>>,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// Its `Date`: the issuer's clock, by which the times in the body are meant.
    pub(super) date: Option<Timestamp>,
    /// Its `DPoP-Nonce`: what the next proof must hold (RFC 9449, section 8).
    pub(super) headers: HeaderMap,
}

impl Answer {
    /// The issuer's clock when it answered.
    pub(super) fn now(&self) -> Timestamp {
        self.date.unwrap_or_else(Timestamp::now)
    }

    /// What can be said of an answer whose status is none of those that are expected; reads on from the name of the endpoint.
    pub(super) fn fault(&self) -> String {
        let status = self.status.as_u16();
        if self.status.is_redirection() { format!("answered {status}: redirects are not followed") } else { format!("answered {status}") }
    }

    /// How long it is until a moment that the body names, by the issuer's clock; zero where it has passed.
    pub(super) fn until(&self, moment: Timestamp) -> Duration {
        Duration::try_from(moment.duration_since(self.now())).unwrap_or_default()
    }
}

/// Why there was no answer; reads on from the name of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Unresolved,
    Forbidden(IpAddr),
    PlainOutside,
    Unreachable,
    CertificateExpired,
    CertificateName,
    CertificateIssuer,
    Identity,
    Tls,
    Late,
    TooLarge,
    Broken,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unresolved => "has a host name that does not resolve",
            Self::Forbidden(address) => return write!(f, "resolves to {address}, which is never called"),
            Self::PlainOutside => "is plain http, but its host is not on loopback",
            Self::Unreachable => "takes no connection",
            Self::CertificateExpired => "has a certificate that is not valid at this time",
            Self::CertificateName => "has a certificate for another name",
            Self::CertificateIssuer => "has a certificate from an authority that is not trusted",
            Self::Identity => "cannot be called with this client certificate and key: they do not belong together",
            Self::Tls => "could not agree on TLS with us",
            Self::Late => "did not answer within 5 s",
            Self::TooLarge => "answered more than 64 KiB",
            Self::Broken => "gave no whole HTTP answer",
        })
    }
}

impl Http {
    /// `roots` verify every endpoint.
    pub(super) fn new(roots: Arc<RootCertStore>) -> Self {
        Self { tls: tls_config(Arc::clone(&roots), None).ok(), roots }
    }

    /// Sends a body and returns the answer.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub(super) async fn post(&self, endpoint: &Endpoint, headers: HeaderMap, body: Zeroizing<Vec<u8>>) -> Result<Answer, Fault> {
        self.send(Call { method: Method::POST, endpoint, headers, body, identity: None, roots: None }).await
    }

    /// Asks for what is there.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub(super) async fn get(&self, endpoint: &Endpoint, headers: HeaderMap) -> Result<Answer, Fault> {
        self.send(Call { method: Method::GET, endpoint, headers, body: Zeroizing::default(), identity: None, roots: None }).await
    }

    /// Makes a call. `Accept` is JSON unless the call says something else.
    ///
    /// # Errors
    /// [`Fault`]; an answer with an error status is none.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer, Fault> {
        let Call { method, endpoint, headers, body, identity, roots } = call;
        let mut request = Request::new(Full::new(Bytes::from_owner(body)));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(endpoint.path.clone());
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, endpoint.authority.parse().map_err(|_| Fault::Broken)?);
        request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("keygress"));
        tokio::time::timeout(EXCHANGE_TIME, self.exchange(endpoint, request, identity, roots)).await.unwrap_or(Err(Fault::Late))
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        request: Request<Full<Bytes>>,
        identity: Option<Identity>,
        roots: Option<Arc<RootCertStore>>,
    ) -> Result<Answer, Fault> {
        let stream = connect(&endpoint.resolve().await?).await?;
        if !endpoint.tls {
            return speak(stream, request).await;
        }
        let config = match (identity, roots) {
            (None, None) => Arc::clone(self.tls.as_ref().ok_or(Fault::Tls)?),
            (identity, roots) => tls_config(roots.unwrap_or_else(|| Arc::clone(&self.roots)), identity)?,
        };
        let name = ServerName::try_from(endpoint.host.clone()).map_err(|_| Fault::Tls)?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| tls_fault(&error))?;
        speak(stream, request).await
    }
}

/// The header of a bearer token; `None` where it holds what no header may.
pub(super) fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = Zeroizing::new(Vec::with_capacity(7 + token.len()));
    value.extend_from_slice(b"Bearer ");
    value.extend_from_slice(token.expose());
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn tls_config(roots: Arc<RootCertStore>, identity: Option<Identity>) -> Result<Arc<ClientConfig>, Fault> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|_| Fault::Tls)?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(|_| Fault::Identity)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Fault> {
    for address in addresses {
        if let Ok(stream) = stream::dial(*address).await {
            return Ok(stream);
        }
    }
    Err(Fault::Unreachable)
}

async fn speak<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Fault>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(ANSWER_BYTES_MAX).handshake(TokioIo::new(stream)).await.map_err(|_| Fault::Broken)?;
    let connection = AbortOnDrop(tokio::spawn(connection));
    let response = sender.send_request(request).await.map_err(|_| Fault::Broken)?;
    let answer = read(response).await;
    drop(connection);
    answer
}

async fn read(response: Response<Incoming>) -> Result<Answer, Fault> {
    let status = response.status();
    let date = response.headers().get(DATE).and_then(|date| moment(date.to_str().ok()?));
    let (head, body) = response.into_parts();
    let mut headers = HeaderMap::new();
    for nonce in head.headers.get_all(DPOP_NONCE) {
        headers.append(DPOP_NONCE, nonce.clone());
    }
    let mut incoming = Limited::new(body, ANSWER_BYTES_MAX);
    // One buffer that never grows, so that no copy of a token is left behind.
    let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| if error.is::<http_body_util::LengthLimitError>() { Fault::TooLarge } else { Fault::Broken })?;
        if let Some(bytes) = frame.data_ref() {
            body.extend_from_slice(bytes);
        }
    }
    Ok(Answer { status, body, date, headers })
}

fn moment(date: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp())
}

/// The connection ends with the call that needed it, also if that is dropped half-way.
struct AbortOnDrop(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn tls_fault(error: &io::Error) -> Fault {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(fault)) => match fault {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Fault::CertificateExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Fault::CertificateName,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Fault::CertificateIssuer,
            _ => Fault::Tls,
        },
        _ => Fault::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_forbidden_address_is_not_dialled() {
        let http = Http::new(Arc::new(RootCertStore::empty()));
        for url in ["https://169.254.169.254/", "https://[::ffff:169.254.169.254]/"] {
            let endpoint = Endpoint::parse(url).unwrap();
            let fault = http.post(&endpoint, HeaderMap::new(), Zeroizing::default()).await.err().unwrap();
            assert_eq!(fault, Fault::Forbidden("169.254.169.254".parse().unwrap()));
        }
    }

    #[test]
    fn a_moment_is_meant_by_the_clock_of_whoever_names_it() {
        let date = moment("Tue, 24 Nov 2026 10:00:00 GMT");
        let answer = Answer { status: StatusCode::OK, body: Zeroizing::default(), date, headers: HeaderMap::new() };
        assert_eq!(answer.until("2026-11-24T11:00:00Z".parse().unwrap()), Duration::from_secs(3600));
        assert_eq!(answer.until("2026-11-24T09:00:00Z".parse().unwrap()), Duration::ZERO);
    }
}
