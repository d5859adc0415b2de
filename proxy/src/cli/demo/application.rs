//! The application of the demonstration: it knows the proxy, trusts the proxy's CA and holds a placeholder.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::upstream::Upstream;

/// An application behind the proxy.
pub(super) struct Application {
    proxy: SocketAddr,
    proxy_authorization: HeaderValue,
    tls: TlsConnector,
    /// What it holds in place of a key.
    pub(super) placeholder: String,
}

/// An answer as the application read it.
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its body.
    pub(super) body: String,
}

/// A connection of the application, through the proxy, to one host.
pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    authority: String,
    authorization: String,
}

impl Application {
    /// An application that has this task token and trusts this CA alone.
    pub(super) fn new(proxy: SocketAddr, token: &str, ca_pem: &str, placeholder: String) -> anyhow::Result<Self> {
        let mut proxy_authorization = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("task:{token}"))))?;
        proxy_authorization.set_sensitive(true);
        Ok(Self { proxy, proxy_authorization, tls: trusting(ca_pem)?, placeholder })
    }

    /// Asks the proxy for a connection to this server; `Err` holds the proxy's refusal.
    pub(super) async fn connect(&self, to: &Upstream) -> anyhow::Result<Result<Connection, Answer>> {
        let authority = format!("{}:{}", to.host, to.address.port());
        let stream = TcpStream::connect(self.proxy).await?;
        let (mut proxy, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver.with_upgrades());
        let request = Request::connect(&authority)
            .header(header::HOST, &authority)
            .header(header::PROXY_AUTHORIZATION, &self.proxy_authorization)
            .body(Empty::<Bytes>::new())?;
        let response = proxy.send_request(request).await.context("the proxy did not answer")?;
        if response.status() != StatusCode::OK {
            return Ok(Err(Answer::read(response).await?));
        }
        let tunnel = hyper::upgrade::on(response).await?;
        let name = ServerName::try_from(to.host)?;
        let stream = self.tls.connect(name, TokioIo::new(tunnel)).await.context("the proxy's certificate")?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Ok(Connection { sender, authority, authorization: format!("Bearer {}", self.placeholder) }))
    }
}

/// A TLS client that trusts this certificate alone.
pub(super) fn trusting(ca_pem: &str) -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Connection {
    /// Names another server in the `Host` header of what is sent from now on.
    pub(super) fn pretend(&mut self, to: &Upstream) {
        self.authority = format!("{}:{}", to.host, to.address.port());
    }

    /// Sends a request with the placeholder as its authorization.
    pub(super) async fn send(&mut self, method: Method, path: &str) -> anyhow::Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, &self.authorization)
            .body(Empty::new())?;
        self.sender.ready().await.context("the connection was closed")?;
        Answer::read(self.sender.send_request(request).await?).await
    }
}

impl Answer {
    async fn read(response: Response<Incoming>) -> anyhow::Result<Self> {
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Self { status, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// A field of a JSON body.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        body.get(name)?.as_str().map(str::to_owned)
    }
}
