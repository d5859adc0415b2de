//! TCP: how the process dials, and a stream that writes small pieces in one go.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use socket2::SockRef;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

/// Pieces that are together no longer than this are gathered here first: the head and the body of most answers.
const GATHERED_MAX: usize = 2048;

/// The mark on what the process dials; 0 for none. It belongs to the process as its user id does.
static MARK: AtomicU32 = AtomicU32::new(0);

/// From now on everything that [`dial`] opens is marked: firewall rules tell it from what callers open.
///
/// # Errors
/// Where the process may not mark its sockets: it needs `CAP_NET_ADMIN`.
pub fn mark_dialled(mark: u32) -> io::Result<()> {
    let trial = TcpSocket::new_v4()?;
    SockRef::from(&trial).set_mark(mark).map_err(|error| {
        io::Error::new(error.kind(), format!("it needs CAP_NET_ADMIN, in the ambient set where the sandbox is on: {error}"))
    })?;
    MARK.store(mark, Ordering::Relaxed);
    Ok(())
}

/// A connection to this address, marked where the process marks what it dials.
///
/// # Errors
/// Where the address takes no connection.
pub async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let mark = MARK.load(Ordering::Relaxed);
    if mark != 0 {
        SockRef::from(&socket).set_mark(mark)?;
    }
    socket.connect(address).await
}

/// A TCP stream. What it is given in one piece, or in small ones, leaves by `send` and not by `writev`, whose detour through the file layer
/// costs 0.2 µs each time.
#[derive(Debug)]
pub struct Tcp(pub TcpStream);

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let [only] = slices {
            return Pin::new(&mut self.0).poll_write(cx, only);
        }
        let mut gathered = [0; GATHERED_MAX];
        let mut length = 0;
        for slice in slices {
            let Some(room) = gathered.get_mut(length..length + slice.len()) else {
                return Pin::new(&mut self.0).poll_write_vectored(cx, slices);
            };
            room.copy_from_slice(slice);
            length += slice.len();
        }
        Pin::new(&mut self.0).poll_write(cx, gathered.get(..length).unwrap_or_default())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn pieces_arrive_whole_and_in_order_whatever_their_size() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut ours = Tcp(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let (mut theirs, _) = listener.accept().await.unwrap();
        for sizes in [vec![1, 2, 3], vec![GATHERED_MAX - 1, 1], vec![GATHERED_MAX, 1], vec![0, 5], vec![7]] {
            let pieces: Vec<Vec<u8>> = sizes.iter().zip(b'a'..).map(|(size, letter)| vec![letter; *size]).collect();
            let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut sent = pieces.concat();
            let written = ours.write_vectored(&slices).await.unwrap();
            sent.truncate(written);
            assert!(written > 0);
            let mut read = vec![0; written];
            theirs.read_exact(&mut read).await.unwrap();
            assert_eq!(read, sent);
        }
    }
}
