//! The sockets, and what a connection may be.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Either;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Admin, Door};

/// Connections at once, over all sockets; more wait in the backlog.
const CONNECTIONS_MAX: usize = 64;

/// How long a request head may take, and a kept connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may live that follows no events.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How large a request head may be.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long accepting rests after it failed, as it does where no descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// The open sockets. Dropping it closes them.
pub struct Server {
    admin: Arc<Admin>,
    permits: Arc<Semaphore>,
    accepting: Vec<JoinHandle<()>>,
    sockets: Vec<PathBuf>,
}

impl Server {
    /// Listens nowhere yet.
    #[must_use]
    pub fn new(admin: Admin) -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { admin: Arc::new(admin), permits, accepting: Vec::new(), sockets: Vec::new() }
    }

    /// Serves everything on a Unix socket that only our own user may open.
    ///
    /// # Errors
    /// Where the path is taken by something that is not a dead socket, or cannot be bound.
    pub fn open_socket(&mut self, path: &Path) -> io::Result<()> {
        let listener = bind(path)?;
        self.sockets.push(path.to_owned());
        let (admin, permits) = (Arc::clone(&self.admin), Arc::clone(&self.permits));
        self.accepting.push(tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let Ok(peer) = stream.peer_cred() else { continue };
                        spawn(&admin, &permits, Door::Control(peer.uid()), stream).await;
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        }));
        Ok(())
    }

    /// Serves health and metrics over TCP. Returns the bound address.
    ///
    /// # Errors
    /// Where the listener cannot be used.
    pub fn open_tcp(&mut self, listener: std::net::TcpListener) -> io::Result<SocketAddr> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let bound = listener.local_addr()?;
        let (admin, permits) = (Arc::clone(&self.admin), Arc::clone(&self.permits));
        self.accepting.push(tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => spawn(&admin, &permits, Door::ReadOnly, stream).await,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        }));
        Ok(bound)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
        for socket in &self.sockets {
            // It may have been removed already.
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Waits until there is room, then serves the connection in a task of its own.
async fn spawn<S>(admin: &Arc<Admin>, permits: &Arc<Semaphore>, door: Door, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(permit) = Arc::clone(permits).acquire_owned().await else { return };
    let admin = Arc::clone(admin);
    tokio::spawn(async move {
        let is_followed = AtomicBool::new(false);
        let service = service_fn(|request| {
            let (admin, is_followed) = (Arc::clone(&admin), &is_followed);
            async move {
                let answer = admin.answer(door, request).await;
                is_followed.store(matches!(answer.body(), Either::Right(_)), Ordering::Relaxed);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        // How it ends concerns only who asked.
        while tokio::time::timeout(CONNECTION_TIMEOUT, &mut connection).await.is_err() && is_followed.load(Ordering::Relaxed) {}
        drop(permit);
    });
}

/// Binds beside the path and moves the socket there: it never exists with a wider mode.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let refuse = |why: &str| io::Error::new(io::ErrorKind::AddrInUse, format!("`{}` {why}", path.display()));
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(refuse("is not a socket and is left alone"));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(refuse("is in use by another process"));
        }
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let listener = UnixListener::bind(&beside)?;
    let moved = std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).and_then(|()| std::fs::rename(&beside, path));
    if let Err(error) = moved {
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    Ok(listener)
}
