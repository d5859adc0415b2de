//! 7 · Secrets out of what comes back: an upstream that echoes a credential does not show it to the caller. Head, body and trailers are
//! searched while they stream, in every form of [`crate::needles`], inside the codings that can be taken off. What cannot be searched
//! does not pass.

use std::sync::Arc;

use http::{Response, StatusCode, header};
use hyper::body::Body;
use hyper::ext::ReasonPhrase;

use crate::needles::Needles;
use crate::refusal::{Code, Refusal};

/// The body as a stream: what may go on, what is held back.
mod window;

/// Content codings, taken off within limits.
mod coding;

/// Headers and trailers, and what a request may ask for.
mod head;

/// What watches one answer.
mod sieve;

/// The messages of a WebSocket.
mod frames;

pub use coding::Spoilt;
pub use frames::Frames;
pub use head::{ask, fields};
pub use sieve::{Sieve, Sifted};
pub use window::Window;

/// How much of an answer is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// All of it.
    Whole,
    /// Its header and trailer fields: the rule says `unsafe_unscrubbed_body`.
    Fields,
}

/// Masks the head of an answer and prepares what watches the rest of it.
///
/// # Errors
/// [`Code::Unscrubbable`] where the body is in a form that cannot be searched: an unknown coding, more than one, or a range that
/// nobody asked for.
pub fn answer<B: Body>(response: &mut Response<B>, needles: &Arc<Needles>, depth: Depth) -> Result<Sieve, Refusal> {
    // The standard phrase of the status takes its place.
    response.extensions_mut().remove::<ReasonPhrase>();
    let fields = head::fields(needles, response.headers_mut());
    let needles = Arc::clone(needles);
    match depth {
        Depth::Fields => Ok(Sieve::of_fields(needles, fields)),
        Depth::Whole => Ok(Sieve::of_body(needles, fields, uncoded(response).map_err(unscrubbable)?)),
    }
}

/// Takes the coding off the head, and prepares to take it off the body.
fn uncoded<B: Body>(response: &mut Response<B>) -> Result<Option<coding::Inflate>, &'static str> {
    let has_body = !response.body().is_end_stream();
    if response.status() == StatusCode::PARTIAL_CONTENT {
        return Err("the answer is a range, and none was asked for");
    }
    let coding = head::coding(response.headers());
    let headers = response.headers_mut();
    if headers.get_all(header::TRANSFER_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err("the answer is in a transfer coding that was not asked for");
    }
    head::whole(headers);
    match coding {
        Ok(None) => Ok(None),
        Ok(Some(coding)) => {
            head::uncoded(headers);
            let inflate = has_body.then(|| coding::Inflate::new(coding)).transpose();
            inflate.map_err(|_| "there is no memory to take the coding of the answer off")
        }
        // The head of what would be refused tells nothing.
        Err(_) if !has_body => Ok(None),
        Err(why) => Err(why),
    }
}

fn unscrubbable(why: &'static str) -> Refusal {
    Refusal::new(Code::Unscrubbable, why)
}

#[cfg(test)]
mod tests;
