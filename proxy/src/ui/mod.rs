//! The admin page: a web server on loopback for one person, between a browser and the admin socket. It decides nothing; what the page may
//! ask is a closed list, and no answer on it holds a secret.
//!
//! The page itself is public and empty. What fills it takes two proofs at once, both given in exchange for the key of the link, once: a
//! cookie that no script can read, and a bearer token that no other server is ever sent (a cookie goes to every port of a host). The key
//! stands in the fragment of the link: browsers keep that to themselves.

/// The link, and the session that it opens.
mod session;

/// Which requests come from the page itself.
mod guard;

/// The page: what a browser loads.
mod assets;

/// What is asked of keygress for the page.
mod relay;

/// Listening.
mod server;

pub use server::Server;
pub use session::{Ending, IDLE_TIME, LINK_TIME};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};

/// What goes to the browser: text of ours, or what keygress answers.
type Answer = Response<Either<Full<Bytes>, Incoming>>;

/// Why a request gets no further.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    status: StatusCode,
    why: String,
}

impl Refused {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    fn answer(&self) -> Answer {
        json_answer(self.status, &json!({ "error": self.why }))
    }
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    text(status, "application/json", format!("{value}\n").into())
}

fn text(status: StatusCode, content_type: &'static str, text: Bytes) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
