//! The API of the demonstration: it takes the issuer's tokens and remembers what it received.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;

use super::issuer::Issuer;
use super::upstream::{self, Answer};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// The value of its `Authorization` header.
    pub(super) authorization: Option<String>,
}

impl Received {
    /// The token of a Bearer authorization.
    pub(super) fn token(&self) -> Option<&str> {
        self.authorization.as_deref()?.strip_prefix("Bearer ")
    }
}

/// What a server received, newest last. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Inbox(Arc<Mutex<Vec<Received>>>);

impl Inbox {
    /// Remembers a request.
    pub(super) fn take(&self, request: &Request<Incoming>) -> Received {
        let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let received = Received { authorization };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(received.clone());
        received
    }

    /// The newest request.
    pub(super) fn last(&self) -> Option<Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    /// How many requests arrived.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The invoices API: 401 without a token that the issuer calls active.
pub(super) async fn invoices(inbox: Inbox, issuer: Issuer, request: Request<Incoming>) -> Answer {
    let received = inbox.take(&request);
    if !received.token().is_some_and(|token| issuer.is_active(token)) {
        return upstream::json(StatusCode::UNAUTHORIZED, &json!({ "error": "no valid token" }));
    }
    if *request.method() == Method::POST {
        return upstream::json(StatusCode::ACCEPTED, &json!({ "invoice": 42, "state": "sent" }));
    }
    upstream::json(StatusCode::OK, &json!({ "invoice": 42, "total": "120.00 EUR", "state": "open" }))
}

/// A server that takes whatever it gets.
pub(super) async fn open(inbox: Inbox, request: Request<Incoming>) -> Answer {
    inbox.take(&request);
    upstream::json(StatusCode::OK, &json!({ "ok": true }))
}
