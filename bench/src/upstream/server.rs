//! The upstream's process: one thread or several, each with its own listeners.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use super::answer::answer;
use super::{HOST, Settings, Up};
use crate::serve::{self, Service};

/// Connections that wait to be accepted: thousands come at once.
const BACKLOG: u32 = 4096;

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
            let service: Service = Rc::new(|request| Box::pin(answer(request)));
            local.spawn_local(serve::accept(plain, None, Rc::clone(&service)));
            local.block_on(&runtime, serve::accept(secure, Some(acceptor), service));
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
