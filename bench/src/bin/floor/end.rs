//! One end of a forwarded connection: a socket, with TLS or without.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

/// An end.
pub(crate) struct End {
    socket: TcpStream,
    tls: Option<Connection>,
    /// What came in and is not forwarded yet.
    pub(crate) got: Vec<u8>,
    /// What goes out without TLS and is not written yet; with TLS, rustls holds it.
    out: Vec<u8>,
}

impl End {
    /// A connection of a caller.
    pub(crate) fn accepted(socket: TcpStream, leaf: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let tls = leaf.map(|leaf| ServerConnection::new(Arc::clone(leaf))).transpose().map_err(io::Error::other)?;
        Self::new(socket, tls.map(Connection::Server))
    }

    /// A connection to the upstream.
    pub(crate) fn dialled(to: SocketAddr, name: ServerName<'static>, config: Arc<ClientConfig>) -> io::Result<Self> {
        let tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Self::new(TcpStream::connect(to)?, Some(Connection::Client(tls)))
    }

    fn new(socket: TcpStream, mut tls: Option<Connection>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(None);
        }
        Ok(Self { socket, tls, got: Vec::new(), out: Vec::new() })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Takes in what one read brings. Whether the other side may still send.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        let length = match self.socket.read(scratch) {
            Ok(0) => return Ok(false),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        let mut bytes = scratch.get(..length).unwrap_or_default();
        let Some(tls) = &mut self.tls else {
            self.got.extend_from_slice(bytes);
            return Ok(true);
        };
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let plain = state.plaintext_bytes_to_read() as u64;
            if plain > 0 {
                tls.reader().take(plain).read_to_end(&mut self.got)?;
            }
            if state.peer_has_closed() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts bytes behind what goes out.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes),
            None => {
                self.out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Writes what the socket takes now. Whether that was all.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let written = match &mut self.tls {
            Some(tls) => loop {
                if !tls.wants_write() {
                    return Ok(true);
                }
                if let Err(error) = tls.write_tls(&mut self.socket) {
                    break Err(error);
                }
            },
            None => loop {
                if self.out.is_empty() {
                    return Ok(true);
                }
                match self.socket.write(&self.out) {
                    Ok(length) => drop(self.out.drain(..length)),
                    Err(error) => break Err(error),
                }
            },
        };
        written.or_else(|error| if error.kind() == ErrorKind::WouldBlock { Ok(false) } else { Err(error) })
    }
}
