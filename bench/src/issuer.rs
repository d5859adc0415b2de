//! The token issuer: OAuth2 client credentials (RFC 6749) and revocation (RFC 7009), with counters.
//!
//! `POST /token` issues, `POST /revoke` revokes, `GET /counts` says how often: JSON, `Counts`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use crate::child::{Order, Program, Serving};
use crate::serve::{self, Service};
use crate::wire::Outgoing;

/// The longest form that is read.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// Every token begins with it.
const PREFIX: &str = "bench-token-";

/// How it serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// How long a token lives, in seconds.
    pub token_seconds: u64,
}

/// How often it was asked for what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Tokens issued.
    pub issued: u64,
    /// Tokens revoked that were issued and not revoked yet.
    pub revoked: u64,
    /// Tokens that are neither revoked nor expired now.
    pub active: u64,
    /// Requests that were refused.
    pub refused: u64,
}

/// An issuer that runs in a process of its own; ended when it is dropped.
#[derive(Debug)]
pub struct Issuer {
    /// Where it listens, without TLS: loopback.
    pub address: SocketAddr,
    /// The process.
    pub serving: Serving,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Up {
    address: SocketAddr,
}

/// Starts an issuer as a process of its own.
///
/// # Errors
/// Where it does not start.
pub fn start(program: &Program, settings: &Settings) -> anyhow::Result<Issuer> {
    let (serving, up) = program.start::<Up>(&Order::Issuer(settings.clone()))?;
    Ok(Issuer { address: up.address, serving })
}

/// What an issuer knows.
#[derive(Debug)]
pub struct Tokens {
    lifetime: Duration,
    state: Mutex<State>,
}

fn text(number: u64) -> String {
    format!("{PREFIX}{number:012}")
}

/// The `authorization` field with the token of this number; the first is 1.
#[must_use]
pub fn bearer(number: u64) -> String {
    format!("Bearer {}", text(number))
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    /// When each token ends that was not revoked.
    live: BTreeMap<u64, Instant>,
}

impl Tokens {
    /// Nothing is issued yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { lifetime: Duration::from_secs(settings.token_seconds), state: Mutex::default() }
    }

    /// Issues a token; its number stands in it.
    #[must_use]
    pub fn issue(&self, now: Instant) -> String {
        let mut state = self.lock();
        state.counts.issued += 1;
        let number = state.counts.issued;
        state.live.insert(number, now + self.lifetime);
        text(number)
    }

    /// Revokes a token; one that is unknown or ended is no error (RFC 7009, section 2.2).
    pub fn revoke(&self, token: &str) {
        let Some(number) = token.strip_prefix(PREFIX).and_then(|number| number.parse().ok()) else { return };
        let mut state = self.lock();
        if state.live.remove(&number).is_some() {
            state.counts.revoked += 1;
        }
    }

    /// How often it was asked for what.
    #[must_use]
    pub fn counts(&self, now: Instant) -> Counts {
        let mut state = self.lock();
        state.live.retain(|_, ends| *ends > now);
        Counts { active: state.live.len() as u64, ..state.counts.clone() }
    }

    fn refuse(&self) {
        self.lock().counts.refused += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until the process ends; `up` is told where.
pub(crate) fn serve(settings: &Settings, up: impl FnOnce(&Up) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let tokens = Rc::new(Tokens::new(settings));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the issuer cannot listen")?;
        up(&Up { address: listener.local_addr()? })?;
        let service: Service = Rc::new(move |request| {
            let tokens = Rc::clone(&tokens);
            Box::pin(async move { respond(&tokens, request).await })
        });
        serve::accept(listener, None, service).await;
        Ok(())
    })
}

async fn respond(tokens: &Tokens, request: Request<Incoming>) -> Response<Outgoing> {
    let (head, body) = request.into_parts();
    if (&head.method, head.uri.path()) == (&Method::GET, "/counts") {
        return answer(StatusCode::OK, &json!(tokens.counts(Instant::now())));
    }
    let form = match Limited::new(body, FORM_BYTES_MAX).collect().await {
        Ok(form) => form.to_bytes(),
        Err(_) => return refused(tokens, StatusCode::BAD_REQUEST, "invalid_request"),
    };
    if !head.headers.contains_key(header::AUTHORIZATION) {
        return refused(tokens, StatusCode::UNAUTHORIZED, "invalid_client");
    }
    match (&head.method, head.uri.path(), value(&form, "grant_type"), value(&form, "token")) {
        (&Method::POST, "/token", Some("client_credentials"), _) => {
            let token = tokens.issue(Instant::now());
            answer(StatusCode::OK, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": tokens.lifetime.as_secs() }))
        }
        (&Method::POST, "/token", _, _) => refused(tokens, StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        (&Method::POST, "/revoke", _, Some(token)) => {
            tokens.revoke(token);
            answer(StatusCode::OK, &json!({}))
        }
        _ => refused(tokens, StatusCode::NOT_FOUND, "invalid_request"),
    }
}

/// A value of a form; none of those that are asked for here holds anything that would be escaped.
fn value<'f>(form: &'f [u8], name: &str) -> Option<&'f str> {
    let pairs = std::str::from_utf8(form).ok()?.split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn refused(tokens: &Tokens, status: StatusCode, error: &str) -> Response<Outgoing> {
    tokens.refuse();
    answer(status, &json!({ "error": error }))
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::Whole(body.to_string().into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_what_it_issued_what_was_revoked_and_what_expired() {
        let tokens = Tokens::new(&Settings { token_seconds: 60 });
        let now = Instant::now();
        let (first, second) = (tokens.issue(now), tokens.issue(now));
        assert_ne!(first, second);
        tokens.revoke(&first);
        tokens.revoke(&first);
        tokens.revoke("bench-token-999");
        tokens.revoke("another");
        assert_eq!(tokens.counts(now), Counts { issued: 2, revoked: 1, active: 1, refused: 0 });
        assert_eq!(tokens.counts(now + Duration::from_secs(60)).active, 0);
    }

    #[test]
    fn a_form_is_read_by_its_names() {
        assert_eq!(value(b"grant_type=client_credentials&scope=a", "grant_type"), Some("client_credentials"));
        assert_eq!(value(b"xgrant_type=1", "grant_type"), None);
    }
}
