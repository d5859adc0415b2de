use std::path::PathBuf;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{Answer, Refused};

/// What may be read for the page.
const READ: [&str; 8] = ["/overview", "/credentials", "/rules", "/leases", "/stops", "/tasks", "/alerts", "/events"];

/// What may be asked and ordered for it. Opening a task is not among it: whoever does that gets a token.
const ORDERED: [&str; 5] = ["/explain", "/suspend", "/revoke", "/resume", "/reload"];

/// The longest body of an order, in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// The way to the running keygress.
pub(super) struct Relay {
    socket: PathBuf,
}

impl Relay {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks what the page wants to know, where that is on the list; nothing of the browser's request goes on but path, query and body.
    ///
    /// # Errors
    /// Where it is not, or keygress does not answer.
    pub(super) async fn ask(&self, method: &Method, path: &str, query: Option<&str>, body: Incoming) -> Result<Answer, Refused> {
        let (is_read, is_ordered) = (READ.contains(&path), ORDERED.contains(&path));
        let target = match (method, query) {
            _ if !is_read && !is_ordered => return Err(Refused::new(StatusCode::NOT_FOUND, "the page asks for no such thing")),
            (&Method::GET, Some(query)) if is_read => format!("{path}?{query}"),
            (&Method::GET, None) if is_read => path.to_owned(),
            (&Method::POST, None) if is_ordered => path.to_owned(),
            _ => return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET and ordered with POST")),
        };
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|_| Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "the body did not come whole, or is too long"))?.to_bytes();
        let request = Request::builder().method(method).uri(target).header(HOST, "admin").header(CONTENT_TYPE, "application/json");
        let request = request.body(Full::new(body)).map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "this cannot be asked"))?;
        let answer = self.send(request).await.map_err(|error| {
            Refused::new(StatusCode::BAD_GATEWAY, format!("no keygress answers at `{}`: {error}", self.socket.display()))
        })?;
        let (head, body) = answer.into_parts();
        let mut answer = Answer::new(Either::Right(body));
        *answer.status_mut() = head.status;
        let kind = if path == "/events" && head.status.is_success() { "text/event-stream" } else { "application/json" };
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(answer)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer, or when the browser no longer reads it.
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }
}
