//! Connections as an attacker makes them: every byte is ours.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::way::{Answer, Request, Way};
use super::{h1, h2};

/// How long nothing may come before a conversation counts as hung: far more than anything here takes on a busy machine.
pub const TIME_MAX: Duration = Duration::from_secs(60);

/// A connection of any kind.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// TLS inside a tunnel.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// The proxy that is attacked, and the upstream that it allows.
#[derive(Clone, Debug)]
pub struct Target {
    /// The TCP listener.
    pub listener: SocketAddr,
    /// The Unix socket, where there is one.
    pub socket: Option<PathBuf>,
    /// An address at which whatever is dialled is brought to the proxy, where there is one.
    pub captured: Option<IpAddr>,
    /// The CA of the proxy, PEM.
    pub ca_pem: String,
    /// The token of a task.
    pub token: Option<String>,
    /// Host of the upstream.
    pub host: String,
    /// Port of the upstream.
    pub port: u16,
    /// Its route.
    pub route: String,
}

impl Target {
    /// The authority of the upstream, as a request names it.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == 443 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// A text in which `{}` is the authority.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        text.replace("{}", &self.authority())
    }

    /// The proxy credentials of the task, as a field with its line end; empty where there is none.
    #[must_use]
    pub fn proof(&self) -> String {
        let basic = |token: &String| format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("task:{token}")));
        self.token.as_ref().map(basic).unwrap_or_default()
    }

    /// A plain TCP connection to the proxy.
    ///
    /// # Errors
    /// Where nothing listens.
    pub fn tcp(&self) -> Result<TcpStream> {
        dialled(self.listener)
    }

    /// A connection to the port of the upstream that the kernel brings to the proxy.
    ///
    /// # Errors
    /// Where none is captured.
    pub fn captured(&self) -> Result<TcpStream> {
        dialled(SocketAddr::new(self.captured.context("no connection is captured")?, self.port))
    }

    /// The connection on which an HTTP/1.1 request is written by this way.
    ///
    /// # Errors
    /// Where it cannot be made; where the way is HTTP/2.
    pub fn h1(&self, way: Way) -> Result<Box<dyn Stream>> {
        Ok(match way {
            Way::Absolute | Way::Route => Box::new(self.tcp()?),
            Way::ConnectH1 | Way::CapturedH1 => Box::new(self.secured(way, &self.host, b"http/1.1")?),
            Way::Unix => {
                let path = self.socket.as_ref().context("there is no Unix socket")?;
                let stream = UnixStream::connect(path).with_context(|| path.display().to_string())?;
                stream.set_read_timeout(Some(TIME_MAX))?;
                Box::new(stream)
            }
            Way::ConnectH2 | Way::CapturedH2 => anyhow::bail!("HTTP/2 is not written as text"),
        })
    }

    /// Opens a `CONNECT` for the upstream; the head of the answer, and the connection behind it.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub fn connect(&self, authority: &str) -> Result<(String, TcpStream)> {
        let mut stream = self.tcp()?;
        stream.write_all(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n", self.proof()).as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0_u8];
            stream.read_exact(&mut byte).context("the answer to CONNECT")?;
            head.extend_from_slice(&byte);
        }
        Ok((String::from_utf8_lossy(&head).into_owned(), stream))
    }

    /// An intercepted connection: `CONNECT` to the upstream, or one that is captured, then TLS for this server name and protocol.
    ///
    /// # Errors
    /// Where the tunnel is refused, or the handshake fails.
    pub fn secured(&self, way: Way, server_name: &str, protocol: &[u8]) -> Result<Tls> {
        let stream = match way {
            Way::CapturedH1 | Way::CapturedH2 => self.captured()?,
            Way::Absolute | Way::ConnectH1 | Way::ConnectH2 | Way::Route | Way::Unix => {
                let (head, stream) = self.connect(&self.authority())?;
                ensure!(head.starts_with("HTTP/1.1 200 "), "CONNECT: {head}");
                stream
            }
        };
        let mut config = self.tls()?;
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from(server_name.to_owned())?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).context("the handshake")?;
        }
        Ok(stream)
    }

    /// A client that trusts the proxy's CA and nothing else.
    ///
    /// # Errors
    /// Where the CA is none.
    pub fn tls(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// Asks by one way, and reads all that comes back.
    ///
    /// # Errors
    /// Where there is no connection, or nothing comes for [`TIME_MAX`].
    pub fn ask(&self, way: Way, request: &Request) -> Result<Answer> {
        match way {
            Way::Absolute | Way::ConnectH1 | Way::Route | Way::Unix | Way::CapturedH1 => self.say(way, &h1::write(self, way, request)),
            Way::ConnectH2 | Way::CapturedH2 => {
                // Where the tunnel itself is refused there is no stream: that is an end without an answer.
                let mut connection = h2::Connection::open(self, way)?;
                connection.ask(self, request)
            }
        }
    }

    /// Says these bytes by one way, and reads all that comes back.
    ///
    /// # Errors
    /// As [`Target::ask`].
    pub fn say(&self, way: Way, bytes: &[u8]) -> Result<Answer> {
        h1::converse(&mut *self.h1(way)?, bytes)
    }
}

/// A TCP connection on which nothing is waited for without end.
fn dialled(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(TIME_MAX))?;
    stream.set_write_timeout(Some(TIME_MAX))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
