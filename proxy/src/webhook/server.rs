use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::SingleCertAndKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::review::{Refused, review};
use crate::identity::Identity;
use crate::sidecar::Plan;

/// Where questions come.
const PATH: &str = "/inject";

/// Connections at once; more wait in the backlog.
const CONNECTIONS_MAX: usize = 256;

/// How long a handshake, a request head, or a body may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may live.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);

/// How large a question may be: an object is at most 1.5 MiB, and an update holds two.
const BODY_BYTES_MAX: usize = 8 << 20;

/// How long accepting rests after it failed, as it does where no descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// The webhook, listening.
pub struct Server {
    listener: TcpListener,
    identity: Identity,
    plan: Arc<Plan>,
}

impl Server {
    /// Listens; the certificate is read again when it changes.
    ///
    /// # Errors
    /// Where the address is taken or not ours.
    pub async fn bind(address: SocketAddr, identity: Identity, plan: Plan) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, identity, plan: Arc::new(plan) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop` ends, and then what is being asked.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (stopping, stopped) = watch::channel(false);
        tokio::select! {
            () = self.accept(&permits, &stopped) => {}
            () = stop => {}
        }
        stopping.send_replace(true);
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        // Whoever still asks then asks another one.
        let _ = tokio::time::timeout(TIMEOUT, permits.acquire_many(all)).await;
    }

    async fn accept(&self, permits: &Arc<Semaphore>, stopped: &watch::Receiver<bool>) {
        loop {
            let Ok(permit) = Arc::clone(permits).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Ok(tls) = self.tls() else { continue };
            let (plan, stopped) = (Arc::clone(&self.plan), stopped.clone());
            tokio::spawn(async move {
                let served = connection(stream, TlsAcceptor::from(tls), plan, stopped);
                let _ = tokio::time::timeout(CONNECTION_TIMEOUT, served).await;
                drop(permit);
            });
        }
    }

    /// With the certificate as it is now.
    fn tls(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let certified = SingleCertAndKey::from(self.identity.now().certified.clone());
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(certified));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, plan: Arc<Plan>, mut stopped: watch::Receiver<bool>) {
    let Ok(Ok(stream)) = tokio::time::timeout(TIMEOUT, tls.accept(stream)).await else { return };
    let service = service_fn(move |request| {
        let plan = Arc::clone(&plan);
        async move { Ok::<_, Infallible>(answer(request, &plan).await) }
    });
    let serving =
        http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(TIMEOUT).serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        // How it ends concerns only who asked.
        _ = serving.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

async fn answer(request: Request<Incoming>, plan: &Plan) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz" | "/readyz") => said(StatusCode::OK, "ok\n".to_owned()),
        (&Method::POST, PATH) => reviewed(request, plan).await,
        (_, PATH) => {
            let mut answer = said(StatusCode::METHOD_NOT_ALLOWED, "questions come by POST\n".to_owned());
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            answer
        }
        (_, _) => said(StatusCode::NOT_FOUND, format!("questions come to {PATH}\n")),
    }
}

async fn reviewed(request: Request<Incoming>, plan: &Plan) -> Response<Full<Bytes>> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        return said(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send an AdmissionReview as application/json\n".to_owned());
    }
    let body = tokio::time::timeout(TIMEOUT, Limited::new(request.into_body(), BODY_BYTES_MAX).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return said(StatusCode::PAYLOAD_TOO_LARGE, "an AdmissionReview has at most 8 MiB\n".to_owned());
        }
        Ok(Err(_)) => return said(StatusCode::BAD_REQUEST, "the body broke off\n".to_owned()),
        Err(_) => return said(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n".to_owned()),
    };
    match review(&body, plan) {
        Ok(answer) => {
            tracing::info!(
                allowed = answer.pointer("/response/allowed").and_then(serde_json::Value::as_bool),
                patched = answer.pointer("/response/patch").is_some(),
                "reviewed"
            );
            let mut response = Response::new(Full::from(answer.to_string()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(Refused(why)) => {
            tracing::warn!("a question was refused: {why}");
            said(StatusCode::BAD_REQUEST, format!("{why}\n"))
        }
    }
}

fn said(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
