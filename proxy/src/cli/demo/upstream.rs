//! TLS servers of the demonstration, under a certificate authority of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The authority that vouches for the demonstration's servers; the proxy trusts it beside the system's roots.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub(super) pem: String,
}

impl Authority {
    /// A fresh authority; its key stays in memory.
    pub(super) fn new() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "demo servers");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    fn acceptor(&self, host: &str) -> anyhow::Result<TlsAcceptor> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([host.to_owned()])?.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// An answer of one of these servers.
pub(super) type Answer = Response<Full<Bytes>>;

/// A server that listens on loopback until the process ends.
pub(super) struct Upstream {
    /// The name in its certificate.
    pub(super) host: &'static str,
    /// Where it listens.
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    /// Starts a server that answers with `respond`.
    pub(super) async fn start<R, F>(authority: &Authority, host: &'static str, respond: R) -> anyhow::Result<Self>
    where
        R: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let acceptor = authority.acceptor(host)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(connection(acceptor.clone(), stream, respond.clone()));
            }
        });
        Ok(Self { host, address, connections })
    }

    /// How many connections anybody ever opened to it.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// `https://host:port`.
    pub(super) fn url(&self) -> String {
        format!("https://{}:{}", self.host, self.address.port())
    }
}

async fn connection<R, F>(acceptor: TlsAcceptor, stream: TcpStream, respond: R)
where
    R: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request| {
        let answer = respond(request);
        async { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    // A connection that the proxy closes is no failure of the demonstration.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A JSON answer.
pub(super) fn json(status: http::StatusCode, body: &serde_json::Value) -> Answer {
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}
