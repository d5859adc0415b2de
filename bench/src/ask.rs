//! One request to a server of ours, and its answer: the admin socket, the issuer's counters.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::LocalSet;

use crate::wire::{self, Io, Outgoing};

/// How long an answer may take: a reload of 100,000 rules takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks over a Unix socket. Blocks.
///
/// # Errors
/// Where nobody answers, or not with a success.
pub(crate) fn unix(socket: &Path, method: Method, path: &str) -> anyhow::Result<Bytes> {
    block_on(async { ask(wire::io(UnixStream::connect(socket).await?), method, path).await })
}

/// Asks over TCP. Blocks.
///
/// # Errors
/// As [`unix`].
pub(crate) fn tcp(address: SocketAddr, method: Method, path: &str) -> anyhow::Result<Bytes> {
    block_on(async { ask(wire::io(TcpStream::connect(address).await?), method, path).await })
}

fn block_on<T>(asking: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(PATIENCE, asking).await.context("no answer in time")? })
}

async fn ask(stream: Io, method: Method, path: &str) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = http1::handshake(stream).await?;
    tokio::task::spawn_local(connection.with_upgrades());
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost").body(Outgoing::Letters(0))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "{path} answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}
