//! One request to a server of ours, and its answer: the admin socket, the issuer's counters.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// How long an answer may take: a reload of 100,000 rules takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks over a Unix socket. Blocks.
///
/// # Errors
/// Where nobody answers, or not with a success.
pub(crate) fn unix(socket: &Path, method: Method, path: &str) -> anyhow::Result<Bytes> {
    block_on(async { ask(UnixStream::connect(socket).await?, method, path).await })
}

/// Asks over TCP. Blocks.
///
/// # Errors
/// As [`unix`].
pub(crate) fn tcp(address: SocketAddr, method: Method, path: &str) -> anyhow::Result<Bytes> {
    block_on(async { ask(TcpStream::connect(address).await?, method, path).await })
}

fn block_on<T>(asking: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await.context("no answer in time")? })
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, method: Method, path: &str) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "{path} answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}
