//! Captured connections: the application dialled its destination, and the kernel brought the connection here. What it says first, a TLS
//! server name or a plain request, selects among the policy's destinations; where it was dialled to only has to agree.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use keygress_policy::destination::Host;
use rustix::net::sockopt;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::connect::{self, Beneath};
use super::serve::{self, Bound, Closes, Door, REFUSED_HEAD_TIMEOUT, Shut};
use super::{gate, pace};
use crate::exchange::{AskedConnect, Line, Opened, exchange, open};
use crate::refusal::{Code, Refusal};
use crate::stops::Tie;
use crate::stream::Tcp;

/// How the kernel brings a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// nftables or iptables `REDIRECT`: the first destination is asked of connection tracking.
    Redirect,
    /// `TPROXY`: our end of the connection has the first destination's address.
    Tproxy,
    /// A network namespace in which every address leads here: our end has the first destination's address.
    Namespace,
}

/// The largest TLS handshake message that a caller may begin with, in bytes: rustls' own limit, and its record.
const HELLO_BYTES_MAX: usize = 64 * 1024 + 1024;

/// A fatal alert, `access_denied` (RFC 8446, section 6.2): what a caller that wants to speak TLS is told in place of a 403.
const ACCESS_DENIED: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x31];

/// The first byte of a TLS handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

/// Where a captured connection was dialled to; `None` where it was dialled to this listener itself.
pub(super) fn original(stream: &TcpStream, capture: Capture, listener: SocketAddr) -> Option<SocketAddr> {
    let local = canonical(stream.local_addr().ok()?);
    match capture {
        Capture::Namespace => Some(local),
        Capture::Redirect => {
            let original = match local {
                SocketAddr::V4(_) => sockopt::ip_original_dst(stream).map(SocketAddr::V4),
                SocketAddr::V6(_) => sockopt::ipv6_original_dst(stream).map(SocketAddr::V6),
            };
            // Without connection tracking there is no answer, and with it but without a redirection it is our own end.
            original.ok().map(canonical).filter(|original| *original != local)
        }
        Capture::Tproxy => {
            let listener = canonical(listener);
            let is_own = local.port() == listener.port() && (listener.ip().is_unspecified() || listener.ip() == local.ip());
            (!is_own).then_some(local)
        }
    }
}

/// An IPv4 address that a dual-stack socket shows as IPv6 is IPv4; scope and flow are no part of a destination.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Serves a captured connection by what it says first.
pub(super) async fn serve(line: Rc<Line>, door: Door, original: SocketAddr, stream: TcpStream, closes: Closes) {
    let patience = if matches!(door.shut, Some(Shut::Full)) { REFUSED_HEAD_TIMEOUT } else { pace::HEAD_TIMEOUT };
    match opening(&stream, patience).await {
        Some(Opening::Tls) => secured(line, door, original, stream, closes).await,
        Some(Opening::Http) => serve::plain(line, door, Tcp(stream), closes).await,
        Some(Opening::Other) => by_address(&line, &door, original, Hello { bytes: Vec::new(), stream }).await,
        None => {
            let refusal = Refusal::new(Code::BadRequest, "a captured connection said nothing, so nobody knows what it is for");
            let _on_record = exchange(&line, Err(refusal)).await;
        }
    }
}

/// What a connection begins like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Tls,
    Http,
    Other,
}

/// What it begins like; its bytes are left where they are. `None` where none come in time.
async fn opening(stream: &TcpStream, patience: Duration) -> Option<Opening> {
    let mut first = [0; 16];
    let length = tokio::time::timeout(patience, stream.peek(&mut first)).await.ok()?.ok()?;
    begins_like(first.get(..length).unwrap_or_default())
}

/// A method is an upper-case word, and a space follows it (RFC 9112, section 3).
fn begins_like(first: &[u8]) -> Option<Opening> {
    let word = first.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    match first.first()? {
        &HANDSHAKE => Some(Opening::Tls),
        _ if word > 0 && first.get(word).is_none_or(|after| *after == b' ') => Some(Opening::Http),
        _ => Some(Opening::Other),
    }
}

/// TLS: by its server name, or by its address where it has none.
async fn secured(line: Rc<Line>, door: Door, original: SocketAddr, stream: TcpStream, closes: Closes) {
    let mut hello = Hello { bytes: Vec::new(), stream };
    // Boxed, so that it leaves nothing behind for the rest of the connection.
    let named = Box::pin(tokio::time::timeout(connect::HANDSHAKE_TIMEOUT, hello.server_name())).await;
    let name = match named {
        Ok(Ok(Some(name))) => name,
        Ok(Ok(None)) => return by_address(&line, &door, original, hello).await,
        // No whole ClientHello: whoever it was broke off, or was told what was wrong.
        Ok(Err(_)) | Err(_) => {
            let refusal = Refusal::new(Code::BadRequest, "a captured connection began like TLS and sent no ClientHello");
            let _on_record = exchange(&line, Err(refusal)).await;
            return;
        }
    };
    let asked = gate::read_captured(&line, &door).and_then(|(snapshot, task)| {
        let host = Host::parse(&name).map_err(|why| Refusal::new(Code::BadRequest, why))?;
        Ok(AskedConnect { snapshot, task, host, port: original.port() })
    });
    let bound = asked.as_ref().ok().map(|asked| Bound { host: asked.host.clone(), port: asked.port, task: asked.task.clone() });
    match (open(&line, asked).await, bound) {
        (Ok(Opened::Tunnel(upstream, tie)), _) => hello.tunnel(upstream, &tie).await,
        (Ok(Opened::Intercept), Some(bound)) => connect::intercept(line, bound, Beneath::Captured(hello.replay()), closes).await,
        (Ok(Opened::Intercept), None) | (Err(_), _) => hello.deny().await,
    }
}

/// Without a name: only where the policy passes this very address, by address alone and so without a credential.
async fn by_address(line: &Rc<Line>, door: &Door, original: SocketAddr, hello: Hello) {
    let asked = gate::read_captured(line, door);
    let asked = asked.map(|(snapshot, task)| AskedConnect { snapshot, task, host: Host::Ip(original.ip()), port: original.port() });
    match open(line, asked).await {
        Ok(Opened::Tunnel(upstream, tie)) => hello.tunnel(upstream, &tie).await,
        Ok(Opened::Intercept) => {
            let why = "a captured connection without a server name passes only where a rule names its address and nothing else";
            let _on_record = exchange(line, Err(Refusal::new(Code::Misdirected, why))).await;
            hello.deny().await;
        }
        Err(_) => hello.deny().await,
    }
}

/// A captured connection, and what was read of it to learn its server name.
struct Hello {
    bytes: Vec<u8>,
    stream: TcpStream,
}

impl Hello {
    /// Reads until there is a whole ClientHello, and returns the server name in it.
    async fn server_name(&mut self) -> io::Result<Option<String>> {
        let mut acceptor = Acceptor::default();
        let mut piece = [0; 2048];
        while self.bytes.len() < HELLO_BYTES_MAX {
            let length = self.stream.read(&mut piece).await?;
            let mut fresh = piece.get(..length).unwrap_or_default();
            if fresh.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.bytes.extend_from_slice(fresh);
            while !fresh.is_empty() {
                acceptor.read_tls(&mut fresh)?;
                match acceptor.accept() {
                    Ok(Some(accepted)) => return Ok(accepted.client_hello().server_name().map(str::to_owned)),
                    Ok(None) => {}
                    Err((error, mut alert)) => {
                        let mut told = Vec::new();
                        alert.write_all(&mut told)?;
                        self.stream.write_all(&told).await?;
                        return Err(io::Error::other(error));
                    }
                }
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    fn replay(self) -> Replay {
        Replay { bytes: self.bytes, read: 0, stream: Tcp(self.stream) }
    }

    /// Carries bytes both ways, beginning with those that were read already.
    async fn tunnel(self, mut upstream: TcpStream, tie: &Tie) {
        if upstream.write_all(&self.bytes).await.is_ok() {
            connect::tunnel(Tcp(self.stream), upstream, tie).await;
        }
    }

    /// What asked for TLS is told so; what asked for anything else is closed.
    async fn deny(mut self) {
        if self.bytes.first() == Some(&HANDSHAKE) {
            // A caller that is gone already need not be told.
            let _ = self.stream.write_all(&ACCESS_DENIED).await;
            let _ = self.stream.shutdown().await;
        }
    }
}

/// A stream whose first bytes were read once already.
pub(super) struct Replay {
    bytes: Vec<u8>,
    read: usize,
    stream: Tcp,
}

impl AsyncRead for Replay {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.bytes.get(self.read..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = left.len().min(buffer.remaining());
        buffer.put_slice(left.get(..length).unwrap_or_default());
        self.read += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replay {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let theirs = TcpStream::connect(address).await.unwrap();
        (listener.accept().await.unwrap().0, theirs, address)
    }

    fn client_hello(name: &'static str) -> Vec<u8> {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let mut client = rustls::ClientConnection::new(config.into(), name.try_into().unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_connection_that_was_dialled_here_was_not_captured() {
        let (ours, _theirs, address) = pair().await;
        assert_eq!(original(&ours, Capture::Redirect, address), None);
        assert_eq!(original(&ours, Capture::Tproxy, address), None);
        assert_eq!(original(&ours, Capture::Tproxy, SocketAddr::from(([0, 0, 0, 0], address.port()))), None);
        let elsewhere = SocketAddr::from(([127, 0, 0, 1], address.port().wrapping_add(1)));
        assert_eq!(original(&ours, Capture::Tproxy, elsewhere), Some(address));
    }

    #[test]
    fn the_first_bytes_say_what_it_is() {
        assert_eq!(begins_like(&client_hello("api.test")), Some(Opening::Tls));
        assert_eq!(begins_like(b"GET / HTTP/1.1\r\n"), Some(Opening::Http));
        assert_eq!(begins_like(b"G"), Some(Opening::Http));
        assert_eq!(begins_like(b"SSH-2.0-OpenSSH"), Some(Opening::Other));
        assert_eq!(begins_like(b"\0\0\0\x08\x04\xd2\x16\x2f"), Some(Opening::Other));
        assert_eq!(begins_like(b""), None);
    }

    #[tokio::test]
    async fn a_server_name_is_read_from_any_pieces_and_nothing_is_lost() {
        for (name, expected) in [("api.test", Some("api.test")), ("127.0.0.1", None)] {
            let (ours, mut theirs, _) = pair().await;
            let sent = client_hello(name);
            let mut hello = Hello { bytes: Vec::new(), stream: ours };
            let write = async {
                for byte in &sent {
                    theirs.write_all(&[*byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
                theirs.write_all(b"more").await.unwrap();
                theirs.shutdown().await.unwrap();
            };
            let (found, ()) = tokio::join!(hello.server_name(), write);
            assert_eq!(found.unwrap().as_deref(), expected);
            let mut read = Vec::new();
            hello.replay().read_to_end(&mut read).await.unwrap();
            assert_eq!(read, [&sent[..], b"more"].concat());
        }
    }

    #[tokio::test]
    async fn what_is_no_client_hello_is_told_so() {
        let (ours, mut theirs, _) = pair().await;
        theirs.write_all(&[HANDSHAKE, 3, 1, 0, 4, 2, 0, 0, 0]).await.unwrap();
        let mut hello = Hello { bytes: Vec::new(), stream: ours };
        assert!(hello.server_name().await.is_err());
        drop(hello);
        let mut told = Vec::new();
        theirs.read_to_end(&mut told).await.unwrap();
        assert_eq!(told.first(), Some(&0x15), "an alert");
    }
}
