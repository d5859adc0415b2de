//! 6 · To the destination: resolve once, guard every address, dial the checked one, verify the name, then send.

/// Connections that are kept, apart for each holder and rule.
pub mod pool;

/// A verified connection that speaks HTTP.
pub mod connect;

/// A connection to a broker.
pub mod broker;

/// A TCP connection to a checked address.
mod dial;

/// Which addresses may be dialled.
pub mod guard;

/// What belongs to one connection only, and never travels on.
pub mod head;

/// WebSocket and other validated upgrades.
pub mod upgrade;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, Version, header};
use hyper::body::{Body as _, Incoming};
use keygress_policy::destination::{Host, Scheme};

use crate::body::Body;
use crate::refusal::{Code, Refusal};

pub use connect::{Connector, Target};
pub use pool::{Failed, Key, Link, Pool, Shelf, Via};

/// Brings a verified connection to the target: a kept one of the same shelf, or a fresh one.
///
/// # Errors
/// The refusals of [`Connector`].
pub async fn reach(shelf: &Shelf, connector: &Connector, target: &Target<'_>) -> Result<Link, Refusal> {
    if let Some(link) = shelf.take() {
        return Ok(link);
    }
    let Some(turn) = shelf.turn() else { return connector.connect(target).await };
    // One connection to a broker carries everybody's: whoever finds none makes it, and the others wait for it.
    let _turn = turn.lock().await;
    if let Some(link) = shelf.take() {
        return Ok(link);
    }
    let link = connector.connect(target).await?;
    shelf.lend(&link);
    Ok(link)
}

/// Sends one request over a verified connection and returns the response with its body still to come. Nothing is sent twice.
///
/// # Errors
/// [`Failed::Unsent`] where a kept connection was gone before a byte was written; else what the caller is told.
pub async fn send(shelf: &Shelf, link: Link, head: Parts, body: Body) -> Result<Response<Incoming>, Failed> {
    let request = address(head, body, shelf, &link).map_err(Failed::Refused)?;
    let (response, link) = link.send(request).await?;
    shelf.put(link);
    Ok(response)
}

/// Gives the head the form that the connection speaks: origin-form and Host, or an absolute URI for `:authority`.
fn address(mut head: Parts, body: Body, shelf: &Shelf, link: &Link) -> Result<Request<Body>, Refusal> {
    let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    link.state(&mut head, shelf, path.as_str())?;
    if link.is_h2() {
        head.uri = absolute(shelf, path)?;
        head.version = Version::HTTP_2;
        head.headers.remove(header::HOST);
        head.headers.remove(header::TRANSFER_ENCODING);
    } else {
        // hyper would leave out the body of a GET whose length it does not know.
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        // A broker is told the destination as every proxy is.
        head.uri = if link.is_to_broker() { absolute(shelf, path)? } else { Uri::from(path) };
        head.version = Version::HTTP_11;
        head.headers.insert(header::HOST, shelf.host.clone());
    }
    Ok(Request::from_parts(head, body))
}

/// The whole URL.
fn absolute(shelf: &Shelf, path: PathAndQuery) -> Result<Uri, Refusal> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(shelf.scheme.clone());
    parts.authority = Some(shelf.authority.clone());
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|_| Refusal::new(Code::BadRequest, "the request cannot be written for its destination"))
}

/// `host` or `host:port`, the port where it is not the scheme's own.
#[must_use]
pub fn authority(scheme: Scheme, host: &Host, port: u16) -> String {
    if port == scheme.default_port() { host.to_string() } else { format!("{host}:{port}") }
}
