//! The upstream's process: one thread or several, each with its own listeners.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use super::answer::answer;
use super::{HOST, Settings, Up};

/// Connections that wait to be accepted: thousands come at once.
const BACKLOG: u32 = 4096;

/// What hyper spawns stays on the thread.
#[derive(Clone, Copy, Debug)]
struct Here;

impl<F: Future + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// Serves until the process ends; `up` is told where.
///
/// # Errors
/// Where nothing can be listened on.
pub(crate) fn serve(settings: &Settings, up: impl FnOnce(&Up) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let (config, ca_pem) = tls(settings)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut first: Option<(SocketAddr, SocketAddr)> = None;
    let mut threads = Vec::new();
    for _ in 0..settings.threads.max(1) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (secure, plain) = first.unwrap_or((any, any));
        let (secure, plain) = runtime.block_on(async { anyhow::Ok((bind(secure)?, bind(plain)?)) })?;
        first = Some((secure.local_addr()?, plain.local_addr()?));
        let acceptor = acceptor.clone();
        threads.push(std::thread::spawn(move || {
            let local = LocalSet::new();
            local.spawn_local(accept(plain, None));
            local.block_on(&runtime, accept(secure, Some(acceptor)));
        }));
    }
    let (address, plain) = first.context("no thread, no listener")?;
    up(&Up { address, plain, ca_pem })?;
    for thread in threads {
        // They end with the process.
        let _ = thread.join();
    }
    Ok(())
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A socket without it is slower, no less right.
                let _ = stream.set_nodelay(true);
                tokio::task::spawn_local(connection(stream, acceptor.clone()));
            }
            // Out of descriptors: accepting again at once would only spin.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>) {
    let Some(acceptor) = acceptor else { return http(stream, Speaks::Http1).await };
    // Whoever breaks off during the handshake, or after it, is the client's to count.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let speaks = if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Speaks::Http2 } else { Speaks::Http1 };
    http(stream, speaks).await;
}

enum Speaks {
    Http1,
    Http2,
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, speaks: Speaks) {
    let stream = TokioIo::new(stream);
    let _how_it_ended = match speaks {
        Speaks::Http1 => http1::Builder::new().serve_connection(stream, service_fn(answer)).await,
        Speaks::Http2 => {
            let mut builder = http2::Builder::new(Here);
            builder.initial_stream_window_size(1024 * 1024).initial_connection_window_size(8 * 1024 * 1024);
            builder.max_concurrent_streams(1024).serve_connection(stream, service_fn(answer)).await
        }
    };
}

/// A CA that lives as long as the process, and a certificate of it; sessions are resumed.
fn tls(settings: &Settings) -> anyhow::Result<(ServerConfig, String)> {
    let ca_key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "keygress bench upstream");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let ca_pem = params.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([HOST.to_owned(), Ipv4Addr::LOCALHOST.to_string()])?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if settings.h2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok((config, ca_pem))
}
