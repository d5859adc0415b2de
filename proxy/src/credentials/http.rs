use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::http::header::{ACCEPT, HOST, USER_AGENT};
use hyper::http::uri::{PathAndQuery, Scheme, Uri};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// From the first look-up to the last byte of the answer.
const EXCHANGE_TIME: Duration = Duration::from_secs(5);

/// The largest answer, in bytes; also the largest head.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Addresses at which clouds tell about the machine; beside the link-local ones.
const METADATA_V4: [Ipv4Addr; 3] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The HTTP client of the providers: one connection a call, HTTP/1.1, TLS verified for the name in the policy, no redirects, no proxy,
/// at most 5 s and 64 KiB.
///
/// The operator wrote the URLs, so private addresses are allowed: the certificate is verified for the name all the same, and plain
/// HTTP goes to loopback only. Link-local and metadata addresses, which answer anybody, are never called.
pub(super) struct Http {
    tls: Option<Arc<ClientConfig>>,
}

/// Where a provider calls: an URL that was read once, when the policy was loaded or before the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
    authority: String,
    path: PathAndQuery,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Zeroizing<Vec<u8>>,
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
            Self::Tls => "could not agree on TLS with us",
            Self::Late => "did not answer within 5 s",
            Self::TooLarge => "answered more than 64 KiB",
            Self::Broken => "gave no whole HTTP answer",
        })
    }
}

impl Endpoint {
    /// Reads an URL.
    ///
    /// # Errors
    /// What is wrong with it, as (message, help).
    pub(super) fn parse(text: &str) -> Result<Self, (String, String)> {
        let wrong = |what: &str| (format!("`{text}` {what}"), "write an URL such as `https://issuer.example.com/token`".to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong("is not an URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(wrong("is not a whole URL")) };
        if text.contains('#') || authority.as_str().contains('@') {
            return Err(wrong("holds a user or a fragment"));
        }
        let tls = *scheme == Scheme::HTTPS;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if ServerName::try_from(host.as_str()).is_err() {
            return Err(wrong("has no host that can be called"));
        }
        if !tls && (*scheme != Scheme::HTTP || !is_loopback(&host)) {
            return Err(wrong("is not `https`: a secret goes there, so only loopback may be plain `http`"));
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(_) | None => authority.port_u16().filter(|port| *port > 0).ok_or_else(|| wrong("has no valid port"))?,
        };
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { tls, host, port, authority: authority.to_string(), path })
    }
}

impl Http {
    /// `roots` verify every endpoint.
    pub(super) fn new(roots: Arc<RootCertStore>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok().map(|builder| {
            let mut config = builder.with_root_certificates(roots).with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(config)
        });
        Self { tls }
    }

    /// Sends a body and returns the answer.
    ///
    /// # Errors
    /// [`Fault`]; an answer with an error status is none.
    pub(super) async fn post(&self, endpoint: &Endpoint, headers: HeaderMap, body: Zeroizing<Vec<u8>>) -> Result<Answer, Fault> {
        let mut request = Request::new(Full::new(Bytes::from_owner(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(endpoint.path.clone());
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, endpoint.authority.parse().map_err(|_| Fault::Broken)?);
        request.headers_mut().entry(ACCEPT).or_insert(hyper::header::HeaderValue::from_static("application/json"));
        request.headers_mut().insert(USER_AGENT, hyper::header::HeaderValue::from_static("keygress"));
        tokio::time::timeout(EXCHANGE_TIME, self.exchange(endpoint, request)).await.unwrap_or(Err(Fault::Late))
    }

    async fn exchange(&self, endpoint: &Endpoint, request: Request<Full<Bytes>>) -> Result<Answer, Fault> {
        let stream = connect(&resolve(endpoint).await?).await?;
        if !endpoint.tls {
            return speak(stream, request).await;
        }
        let config = Arc::clone(self.tls.as_ref().ok_or(Fault::Tls)?);
        let name = ServerName::try_from(endpoint.host.clone()).map_err(|_| Fault::Tls)?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| tls_fault(&error))?;
        speak(stream, request).await
    }
}

/// Resolves once and looks at every address: one that must not be called refuses all.
async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Fault> {
    let addresses: Vec<_> =
        tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await.map_err(|_| Fault::Unresolved)?.collect();
    for address in &addresses {
        let ip = address.ip().to_canonical();
        if is_forbidden(ip) {
            return Err(Fault::Forbidden(ip));
        }
        if !endpoint.tls && !ip.is_loopback() {
            return Err(Fault::PlainOutside);
        }
    }
    Ok(addresses)
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Fault> {
    for address in addresses {
        if let Ok(stream) = TcpStream::connect(address).await {
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
    let mut incoming = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    // One buffer that never grows, so that no copy of a token is left behind.
    let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| if error.is::<http_body_util::LengthLimitError>() { Fault::TooLarge } else { Fault::Broken })?;
        if let Some(bytes) = frame.data_ref() {
            body.extend_from_slice(bytes);
        }
    }
    Ok(Answer { status, body })
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

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn is_forbidden(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || ip.octets()[0] == 0 || METADATA_V4.contains(&ip),
        IpAddr::V6(ip) => {
            let embedded = match ip.segments() {
                // NAT64 and the deprecated v4-compatible form carry an IPv4 address.
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
                [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some((high, low)),
                _ => None,
            };
            embedded.is_some_and(|(high, low)| is_forbidden(IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))))
                || ip.is_unicast_link_local()
                || ip.is_multicast()
                || ip.is_unspecified()
                || ip == METADATA_V6
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(url: &str) -> String {
        Endpoint::parse(url).unwrap_err().0
    }

    #[test]
    fn an_url_is_read_into_where_to_call() {
        let endpoint = Endpoint::parse("https://Issuer.test/oauth/token?v=2").unwrap();
        assert_eq!((endpoint.tls, endpoint.host.as_str(), endpoint.port), (true, "issuer.test", 443));
        assert_eq!(endpoint.path, "/oauth/token?v=2");
        assert_eq!(Endpoint::parse("http://127.0.0.1:8080/t").unwrap().port, 8080);
        assert_eq!(Endpoint::parse("http://localhost").unwrap().port, 80);
        assert_eq!(Endpoint::parse("https://[::1]:8443/").unwrap().host, "::1");
    }

    #[test]
    fn an_url_that_would_carry_a_secret_in_the_clear_is_refused() {
        assert!(fault("http://issuer.test/token").contains("only loopback may be plain `http`"));
        assert!(fault("http://10.0.0.1/token").contains("only loopback may be plain `http`"));
        assert!(fault("ftp://127.0.0.1/token").contains("is not `https`"));
    }

    #[test]
    fn an_url_that_can_be_read_in_two_ways_is_refused() {
        assert!(fault("https://user:word@issuer.test/").contains("holds a user or a fragment"));
        assert!(fault("https://issuer.test/#x").contains("holds a user or a fragment"));
        assert!(fault("https://issuer.test:99999/").contains("port") || fault("https://issuer.test:99999/").contains("is not an URL"));
        for url in ["", "issuer.test", "/token", "https://", "https://issuer.test:0/"] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn link_local_and_metadata_addresses_are_never_called() {
        for ip in [
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "::",
            "ff02::1",
            "fd00:ec2::254",
            "64:ff9b::a9fe:a9fe",
            "::169.254.169.254",
        ] {
            assert!(is_forbidden(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["127.0.0.1", "::1", "10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert!(!is_forbidden(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn a_forbidden_address_is_not_dialled() {
        let http = Http::new(Arc::new(RootCertStore::empty()));
        for url in ["https://169.254.169.254/", "https://[::ffff:169.254.169.254]/"] {
            let endpoint = Endpoint::parse(url).unwrap();
            let fault = http.post(&endpoint, HeaderMap::new(), Zeroizing::default()).await.err().unwrap();
            assert_eq!(fault, Fault::Forbidden("169.254.169.254".parse().unwrap()));
        }
    }
}
