//! What the upstream answers, by path.

use std::cell::RefCell;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::{NOTHING, SAW, digest};
use crate::wire::Outgoing;

/// How many bytes `/slow` answers with.
const SLOW_BYTES: u64 = 200;

/// Answers one request.
pub(super) async fn answer(request: Request<Incoming>) -> Response<Outgoing> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Outgoing::Letters(0));
    let path = head.uri.path().trim_start_matches('/');
    let (name, number) = path.split_once('/').map_or((path, None), |(name, rest)| (name, rest.parse::<u64>().ok()));
    match (name, number) {
        ("echo", None) => *response.body_mut() = Outgoing::Echo(body),
        ("size", Some(bytes)) | ("stream", Some(bytes)) => {
            let _received = drain(body).await;
            *response.body_mut() = Outgoing::Letters(bytes);
        }
        ("sink", None) => match drain(body).await {
            Some(received) => drop(response.headers_mut().insert("x-bench-received", received.into())),
            None => *response.status_mut() = StatusCode::BAD_REQUEST,
        },
        ("slow", Some(milliseconds)) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            *response.body_mut() = Outgoing::Letters(SLOW_BYTES);
        }
        ("events", Some(events)) => {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            *response.body_mut() = Outgoing::events(events);
        }
        (_, _) => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response.headers_mut().insert(SAW, saw(&head.headers));
    response
}

/// Reads a body to its end; `None` where it broke off.
async fn drain(mut body: Incoming) -> Option<u64> {
    let mut bytes = 0;
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => return None,
            None => break,
        }
    }
    Some(bytes)
}

thread_local! {
    /// The last credential and what is said of it: as a rule the next request has the same.
    static LAST: RefCell<Option<(HeaderValue, HeaderValue)>> = const { RefCell::new(None) };
}

fn saw(headers: &HeaderMap) -> HeaderValue {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(only), None) => only,
        (None, _) => return HeaderValue::from_static(NOTHING),
        (Some(_), Some(_)) => return HeaderValue::from_static("several"),
    };
    LAST.with_borrow_mut(|last| match last {
        Some((seen, said)) if seen == field => said.clone(),
        _ => {
            // Hexadecimal digits are a valid value.
            let said = HeaderValue::try_from(digest(field.as_bytes())).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
            *last = Some((field.clone(), said.clone()));
            said
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_saw_and_never_the_thing_itself() {
        let with = |values: &[&'static str]| {
            let fields = values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value)));
            saw(&fields.collect::<HeaderMap>())
        };
        assert_eq!(with(&["Bearer one"]), digest(b"Bearer one"));
        assert_eq!(with(&["Bearer two"]), digest(b"Bearer two"), "the one before is not said again");
        assert_eq!(with(&["Bearer one"]).len(), 16);
        assert_eq!(with(&[]), "none");
        assert_eq!(with(&["Bearer one", "Bearer two"]), "several");
    }
}
