//! What a scenario asks of a contender.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contender::Entry;
use crate::load::{Expected, Pace, Path, Plan, Protocol, Reuse, Until};
use crate::upstream::{self, Upstream};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a run may take beyond its pace, whatever the number of its requests: the slowest have fewer.
const RUN_TIME_MAX: Duration = Duration::from_secs(5);

/// What is asked of a contender in a scenario in which they take turns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

impl Default for Shape {
    /// S1.
    fn default() -> Self {
        Self {
            entrance: Entrance::Plain,
            protocol: Protocol::Http1,
            upstream: Protocol::Http1,
            request_bytes: 0,
            response_bytes: 200,
            connections: 32,
            streams: 1,
            reuse: Reuse::KeepAlive,
            pace: Pace::Closed,
            requests: 100_000,
            rules: 1000,
        }
    }
}

impl Shape {
    /// The load of one run of it; `token` is what the upstream must see.
    #[must_use]
    pub fn plan(&self, upstream: &Upstream, entry: &Entry, token: &str) -> Plan {
        Plan {
            address: entry.address,
            way: entry.way.clone(),
            is_secure: true,
            authority: upstream.authority(),
            trust_pem: entry.trust_pem.clone(),
            protocol: self.protocol,
            method: if self.request_bytes == 0 { http::Method::GET } else { http::Method::POST },
            path: Path::One(format!("/size/{}", self.response_bytes)),
            headers: [(http::header::ACCEPT, http::HeaderValue::from_static("*/*"))].into_iter().collect(),
            request_bytes: self.request_bytes,
            connections: self.connections,
            streams: self.streams,
            reuse: self.reuse,
            pace: self.pace,
            until: Until { requests: Some(self.requests), time: self.time_max() },
            warm_up: (self.requests / 20).max(self.connections as u64 * 2),
            patience: PATIENCE,
            expected: self.expected(token),
            threads: 1,
        }
    }

    fn time_max(&self) -> Duration {
        match self.pace {
            Pace::Closed => RUN_TIME_MAX,
            Pace::Constant(per_second) => RUN_TIME_MAX + Duration::from_secs_f64(self.requests as f64 / per_second.max(1.0)),
        }
    }

    fn expected(&self, token: &str) -> Expected {
        let saw = upstream::digest(format!("Bearer {token}").as_bytes());
        Expected { response_bytes: Some(self.response_bytes), saw: Some(Arc::new(HashSet::from([saw]))), ..Expected::default() }
    }

    /// The same load straight to the upstream, with the credential sent by the client.
    #[must_use]
    pub fn direct(&self, upstream: &Upstream, token: &str) -> Plan {
        let entry = Entry { address: upstream.address, way: crate::load::Way::Tls, trust_pem: upstream.ca_pem.clone() };
        let mut plan = self.plan(upstream, &entry, token);
        if let Ok(mut value) = http::HeaderValue::try_from(format!("Bearer {token}")) {
            value.set_sensitive(true);
            plan.headers.insert(http::header::AUTHORIZATION, value);
        }
        plan
    }

    /// One sentence each, for the report.
    #[must_use]
    pub fn conditions(&self) -> Vec<String> {
        let protocol = |protocol| match protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        };
        let entrance = match self.entrance {
            Entrance::Plain => "plain",
            Entrance::Intercept => "TLS, intercepted,",
        };
        let streams = if self.streams > 1 { format!(" of {} streams", self.streams) } else { String::new() };
        let reuse = match self.reuse {
            Reuse::KeepAlive => "kept alive",
            Reuse::Never { resume: true } => "one for each request, TLS sessions resumed",
            Reuse::Never { resume: false } => "one for each request, no TLS session resumed",
        };
        let pace = match self.pace {
            Pace::Closed => "closed loop".to_owned(),
            Pace::Constant(per_second) => format!("constant pace of {per_second} requests a second"),
        };
        vec![
            format!("{entrance} {} in, {} over TLS out", protocol(self.protocol), protocol(self.upstream)),
            format!("{} connections{streams}, {reuse}; {pace}; {} requests a run", self.connections, self.requests),
            format!("bodies: {} bytes up, {} down", self.request_bytes, self.response_bytes),
            format!("keygress: policy of {} rules, token from a file, audit to a file (bounded loss), metrics on, one worker", self.rules),
        ]
    }
}
