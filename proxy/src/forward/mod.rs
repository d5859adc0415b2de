//! 6 · To the destination: resolve once, guard every address, dial the checked one, verify the name, then send.

/// Connections that are kept, apart for each holder and rule.
pub mod pool;

/// A verified connection that speaks HTTP.
pub mod connect;

/// A TCP connection to a checked address.
mod dial;

/// Which addresses may be dialled.
pub mod guard;

/// What belongs to one connection only, and never travels on.
pub mod head;

/// WebSocket and other validated upgrades.
pub mod upgrade;

use http::request::Parts;
use http::{HeaderValue, Request, Response, Uri, Version, header};
use hyper::body::{Body as _, Incoming};
use keygress_policy::destination::{Host, Scheme};

use crate::body::Body;
use crate::refusal::{Code, Refusal};

pub use connect::{Connector, Target};
pub use pool::{Key, Link, Pool};

/// Brings a verified connection to the target: a kept one of the same key, or a fresh one.
///
/// # Errors
/// The refusals of [`Connector`].
pub async fn reach(pool: &Pool, connector: &Connector, key: &Key, target: &Target<'_>) -> Result<Link, Refusal> {
    if let Some(link) = pool.take(key) {
        return Ok(link);
    }
    connector.connect(target).await
}

/// Sends one request over a verified connection and returns the response with its body still to come.
///
/// A kept connection that the other side closed before a byte was written is replaced by a fresh one, once; nothing else is retried.
///
/// # Errors
/// [`Code::UpstreamFailed`], or the refusals of [`Connector`] where the connection had to be replaced.
pub async fn send(
    (pool, connector): (&Pool, &Connector),
    key: &Key,
    target: &Target<'_>,
    link: Link,
    (head, body): (Parts, Body),
) -> Result<Response<Incoming>, Refusal> {
    let request = address(head, body, target, &link)?;
    let (response, link) = match link.send(request).await {
        Ok(answer) => answer,
        Err(pool::Failed { unsent: Some(request), .. }) => {
            let (head, body) = request.into_parts();
            let link = connector.connect(target).await?;
            let request = address(head, body, target, &link)?;
            link.send(request).await.map_err(|failed| failed.refusal())?
        }
        Err(failed) => return Err(failed.refusal()),
    };
    pool.put(key, link);
    Ok(response)
}

/// Gives the head the form that the connection speaks: origin-form and Host, or an absolute URI for `:authority`.
fn address(mut head: Parts, body: Body, target: &Target<'_>, link: &Link) -> Result<Request<Body>, Refusal> {
    let authority = authority(target.scheme, target.host, target.port);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    if link.is_h2() {
        let uri = format!("{}://{authority}{path}", target.scheme.as_str());
        head.uri = Uri::try_from(uri).map_err(|_| unsendable())?;
        head.version = Version::HTTP_2;
        head.headers.remove(header::HOST);
        head.headers.remove(header::TRANSFER_ENCODING);
    } else {
        // hyper would leave out the body of a GET whose length it does not know.
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        head.uri = Uri::try_from(path).map_err(|_| unsendable())?;
        head.version = Version::HTTP_11;
        head.headers.insert(header::HOST, HeaderValue::try_from(authority).map_err(|_| unsendable())?);
    }
    Ok(Request::from_parts(head, body))
}

/// `host` or `host:port`, the port where it is not the scheme's own.
#[must_use]
pub fn authority(scheme: Scheme, host: &Host, port: u16) -> String {
    if port == scheme.default_port() { host.to_string() } else { format!("{host}:{port}") }
}

fn unsendable() -> Refusal {
    Refusal::new(Code::BadRequest, "the request cannot be written for its destination")
}
