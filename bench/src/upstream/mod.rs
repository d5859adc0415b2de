//! The server behind the proxies: TLS under a CA made at start, HTTP/1.1 and HTTP/2, answers of any size. It never sends back what it saw of a
//! credential, only its digest: the proxy masks the credential itself, and the client still knows which one arrived.
//!
//! `/size/N` answers with N bytes · `/echo` with the request's body · `/sink` with nothing, and the length of the body in `x-bench-received` ·
//! `/slow/MILLISECONDS` with 200 bytes after a while · `/events/N` with N server-sent events · `/stream/N` with N bytes in pieces of 64 KiB.
//! Every answer carries `SAW`.

/// What it answers, by path.
mod answer;

/// Its process.
mod server;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::child::{Order, Program, Serving};

pub(crate) use server::serve;

/// The header in which an answer says which credential the request carried: [`digest`] of the `authorization` field, or [`NOTHING`].
pub const SAW: &str = "x-bench-saw";

/// What [`SAW`] says of a request without a credential.
pub const NOTHING: &str = "none";

/// The name that its certificate proves.
pub const HOST: &str = "localhost";

/// How it serves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Offer HTTP/2.
    pub h2: bool,
    /// The core that it runs on; `None`: any.
    pub core: Option<usize>,
    /// Its threads; at least one.
    pub threads: usize,
}

/// An upstream that runs in a process of its own; ended when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens with TLS: loopback.
    pub address: SocketAddr,
    /// Where it listens without TLS: loopback.
    pub plain: SocketAddr,
    /// The CA (PEM) of its certificate for [`HOST`].
    pub ca_pem: String,
    /// The process.
    pub serving: Serving,
}

/// What it says when it is up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Up {
    pub(crate) address: SocketAddr,
    pub(crate) plain: SocketAddr,
    pub(crate) ca_pem: String,
}

/// Starts an upstream as a process of its own.
///
/// # Errors
/// Where it does not start.
pub fn start(program: &Program, settings: &Settings) -> anyhow::Result<Upstream> {
    let (serving, up) = program.start::<Up>(&Order::Upstream(settings.clone()))?;
    Ok(Upstream { address: up.address, plain: up.plain, ca_pem: up.ca_pem, serving })
}

impl Upstream {
    /// `localhost:PORT`, as requests name it.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{HOST}:{}", self.address.port())
    }
}

/// What [`SAW`] says of this field value: 16 hexadecimal digits of its SHA-256.
#[must_use]
pub fn digest(value: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, value);
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
