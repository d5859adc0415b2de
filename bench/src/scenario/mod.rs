//! What is measured: the scenarios by name.

use serde::{Deserialize, Serialize};

use crate::load::{Pace, Protocol, Reuse};

/// What is asked of a contender in a scenario in which they take turns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shape {
    /// How the caller comes in.
    pub entrance: Entrance,
    /// What the caller speaks; HTTP/2 only inside TLS.
    pub protocol: Protocol,
    /// What the upstream offers: HTTP/2 as well, or HTTP/1.1 alone.
    pub upstream: Protocol,
    /// The body of a request, in bytes.
    pub request_bytes: u64,
    /// The body of a response, in bytes.
    pub response_bytes: u64,
    /// Connections of the client.
    pub connections: usize,
    /// Requests under way on one HTTP/2 connection.
    pub streams: usize,
    /// How long a connection of the client lives.
    pub reuse: Reuse,
    /// When requests are sent.
    pub pace: Pace,
    /// Requests of one run.
    pub requests: u64,
    /// Rules of the policy, for who has one.
    pub rules: usize,
}

/// How a caller comes in. To the upstream it is TLS in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entrance {
    /// Plain HTTP/1.1: absolute-form where the contender is a forward proxy, else origin-form.
    Plain,
    /// `CONNECT`, TLS inside, intercepted: with a leaf that is minted where the contender can, else TLS at once with a static leaf.
    Intercept,
}
