//! The floor: an HTTP/1.1 forwarder on epoll and rustls, one thread, that puts one header on. It knows no policy, no caller, no audit and no
//! limits, and is no proxy to run: it says what the kernel, TLS and the bounds of messages cost at the least.
//!
//! `keygress-bench-floor LISTEN AUTHORITY UPSTREAM CA CREDENTIAL [LEAF KEY]`

/// One end of a forwarded connection: a socket, with TLS or without.
mod end;

/// Where messages begin and end, and the one header.
mod message;

/// A caller and the upstream that answers it.
mod pair;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};

use end::End;
use pair::{Pair, Route};

/// The event of the listener. A pair in place N has the events 2 N + 1 (caller) and 2 N + 2 (upstream).
const LISTENER: u64 = 0;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (fixed, leaf) = arguments.split_at_checked(5).context("LISTEN AUTHORITY UPSTREAM CA CREDENTIAL [LEAF KEY]")?;
    let [listen, authority, upstream, ca, credential] = fixed else { anyhow::bail!("five arguments") };
    let leaf = match leaf {
        [certificate, key] => Some(server(certificate, key)?),
        _ => None,
    };
    let host = authority.split(':').next().unwrap_or_default();
    let route = Route {
        upstream: upstream.parse()?,
        name: ServerName::try_from(host.to_owned())?,
        head: format!("host: {authority}\r\nauthorization: {credential}\r\n"),
        tls: client(ca)?,
    };
    serve(listen.parse()?, leaf, &route)
}

fn server(certificate: &str, key: &str) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_protocol_versions(&[&version::TLS13])
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn client(ca: &str) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder_with_protocol_versions(&[&version::TLS13]).with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn serve(listen: SocketAddr, leaf: Option<Arc<ServerConfig>>, route: &Route) -> Result<()> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut events = Vec::with_capacity(256);
    let mut scratch = vec![0; 64 * 1024];
    let mut pairs: Vec<Option<Pair>> = Vec::new();
    let mut spare = Vec::new();
    loop {
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let Some(event_of_pair) = event.data.u64().checked_sub(1) else {
                while let Ok((socket, _)) = listener.accept() {
                    let place = pairs.iter().position(Option::is_none).unwrap_or(pairs.len());
                    let end = End::accepted(socket, leaf.as_ref())?;
                    epoll::add(&poll, end.socket(), EventData::new_u64(2 * place as u64 + 1), EventFlags::IN)?;
                    let pair = Some(Pair::new(end, 2 * place as u64 + 1));
                    match pairs.get_mut(place) {
                        Some(at) => *at = pair,
                        None => pairs.push(pair),
                    }
                }
                continue;
            };
            let Some(at) = usize::try_from(event_of_pair / 2).ok().and_then(|place| pairs.get_mut(place)) else { continue };
            let Some(pair) = at else { continue };
            let is_caller = event_of_pair % 2 == 0;
            let is_open = pair.ready(is_caller, &poll, route, &mut spare, &mut scratch).unwrap_or(false);
            if !is_open && let Some(pair) = at.take() {
                // Where the caller left, its connection to the upstream serves another one.
                spare.extend(pair.into_spare(&poll).filter(|_| is_caller));
            }
        }
    }
}
