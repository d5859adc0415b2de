//! WebSocket (RFC 6455): a tunnel opens only after a valid 101 for the token that was asked for.

use std::pin::pin;
use std::rc::Rc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::head::lists;
use crate::body::Body;
use crate::refusal::{Code, Refusal};
use crate::stops::Tie;
use crate::worker::Counted;

/// Takes the caller's side of a WebSocket upgrade off the request; `None` where it asks for none, or for something that is not carried (which is stripped).
pub fn asked(head: &mut Parts) -> Option<OnUpgrade> {
    let is_websocket = head.method == Method::GET
        && head.version == Version::HTTP_11
        && head.headers.get_all(header::CONNECTION).iter().any(|value| lists(value, "upgrade"))
        && names_websocket(&head.headers)
        && head.headers.contains_key(header::SEC_WEBSOCKET_KEY);
    let caller = head.extensions.remove::<OnUpgrade>();
    caller.filter(|_| is_websocket)
}

/// Puts the request for the upgrade on our own connection.
pub fn ask(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Joins the two sides after a valid 101, the upstream's as `watched` sees it. `counted` and the tie are held until both have ended.
///
/// # Errors
/// [`Code::UpstreamFailed`] where nobody asked for the 101, or it is not for a WebSocket.
pub fn join<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    caller: Option<OnUpgrade>,
    mut response: Response<Incoming>,
    (counted, tie): (Option<Rc<Counted>>, Tie),
    watched: impl FnOnce(TokioIo<Upgraded>) -> S + 'static,
) -> Result<Response<Body>, Refusal> {
    let caller = caller.ok_or_else(|| Refusal::new(Code::UpstreamFailed, "the destination answered 101, and no upgrade was asked for"))?;
    if !names_websocket(response.headers()) || !response.headers().contains_key(header::SEC_WEBSOCKET_ACCEPT) {
        return Err(Refusal::new(Code::UpstreamFailed, "the destination answered 101 for something else than a WebSocket"));
    }
    let upstream = hyper::upgrade::on(&mut response);
    tokio::task::spawn_local(async move {
        let _counted = counted;
        if let (Ok(caller), Ok(upstream)) = tokio::join!(caller, upstream) {
            let (mut caller, mut upstream) = (TokioIo::new(caller), watched(TokioIo::new(upstream)));
            // Either side may break off, or a stop may end it: that ends both, and there is nobody left to tell.
            let _ = tie.unless_cut(pin!(tokio::io::copy_bidirectional(&mut caller, &mut upstream))).await;
        }
    });
    let (mut head, _) = response.into_parts();
    super::head::leave_hop_back(&mut head.headers);
    ask(&mut head.headers);
    Ok(Response::from_parts(head, Body::Empty))
}

/// Whether a response switches protocols.
#[must_use]
pub fn is_switch(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}

fn names_websocket(headers: &HeaderMap) -> bool {
    let mut tokens = headers.get_all(header::UPGRADE).iter();
    tokens.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket")) && tokens.next().is_none()
}
