//! What is asked of the client.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// One load: who is asked for what, how fast, for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it connects to: the proxy, or the upstream itself.
    pub address: SocketAddr,
    /// How the upstream is reached through there.
    pub way: Way,
    /// The upstream speaks TLS: whoever names it whole says `https`.
    pub is_secure: bool,
    /// The upstream, as requests name it: `localhost:8443`.
    pub authority: String,
    /// The certificates (PEM) that TLS of ours trusts; empty where there is none.
    pub trust_pem: String,
    /// What is spoken on a connection; HTTP/2 only inside TLS.
    pub protocol: Protocol,
    /// The method.
    pub method: http::Method,
    /// Path and query.
    pub path: Path,
    /// Further headers.
    pub headers: http::HeaderMap,
    /// The length of the request's body, in bytes.
    pub request_bytes: u64,
    /// How many connections.
    pub connections: usize,
    /// Requests that are under way on one HTTP/2 connection; 1 for HTTP/1.1.
    pub streams: usize,
    /// How long a connection lives.
    pub reuse: Reuse,
    /// When requests are sent.
    pub pace: Pace,
    /// When it ends.
    pub until: Until,
    /// The same load before it, not measured: what it takes to have everything warm.
    pub warm_up: u64,
    /// How long one request may take before it counts as an error.
    pub patience: Duration,
    /// What a response must be.
    pub expected: Expected,
    /// Threads of the client; at least one.
    pub threads: usize,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// Always the same.
    One(String),
    /// One after the other: a number from 1 to `count` behind `before`, then from the beginning.
    Numbered {
        /// Everything but the number.
        before: String,
        /// The last number.
        count: u64,
    },
}

/// How the upstream is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// Plain HTTP/1.1 to a forward proxy: `GET https://HOST:PORT/path`.
    Absolute,
    /// Plain HTTP/1.1 to a reverse proxy or a route: `GET PREFIX/path`, with `Host` as given (`None`: the upstream's authority).
    Origin {
        /// Before the path; may be empty.
        prefix: String,
        /// The `Host` field.
        host: Option<String>,
    },
    /// `CONNECT HOST:PORT`, then TLS for the upstream's name, inside.
    Connect,
    /// TLS for the upstream's name, at once: the upstream itself, or a proxy with a static leaf.
    Tls,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// How long a connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reuse {
    /// Until the end.
    KeepAlive,
    /// For one request. TLS sessions are resumed where `resume`.
    Never {
        /// Whether TLS sessions are resumed.
        resume: bool,
    },
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Pace {
    /// The next as soon as the one before is answered: the server sets the pace.
    Closed,
    /// So many a second, whatever the server does. Latency counts from when a request was due, not from when it could be sent.
    Constant(f64),
}

/// When a load ends; what comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Until {
    /// After so many requests.
    pub requests: Option<u64>,
    /// After this time.
    pub time: Duration,
}

/// What a response must be to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its status.
    pub status: http::StatusCode,
    /// The length of its body; `None`: any.
    pub response_bytes: Option<u64>,
    /// What the upstream says it saw: one of these digests ([`crate::upstream::digest`]). `None`: nothing is said or asked.
    pub saw: Option<Arc<HashSet<String>>>,
    /// A field that it has, with this value.
    pub field: Option<(HeaderName, HeaderValue)>,
}
