/// The fields of its messages.
mod message;

use std::path::Path;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::RecvStream;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE};
use hyper::{HeaderMap, Method, Request, StatusCode, Version};
use keygress_policy::material::Secret;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::file;

pub(super) use message::{jwt_svid, jwt_svid_request, x509_svids};

/// From the first look at the socket to the first message.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// The largest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// What precedes each message of gRPC: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// A call of the SPIFFE Workload API (gRPC on a Unix socket), and the messages that it brings. The connection ends with it.
pub(super) struct Call {
    stream: RecvStream,
    received: Zeroizing<Vec<u8>>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// What is wrong with the socket or an identifier in a shape, as (message, help).
pub(super) fn complaints(socket: &Path, id: Option<&String>) -> Vec<(String, String)> {
    let id = id.filter(|id| !id.strip_prefix("spiffe://").is_some_and(|rest| !rest.is_empty() && rest.is_ascii()));
    let id = id.map(|id| (format!("`{id}` is no SPIFFE ID"), "write it whole, such as `spiffe://example.com/keygress`".to_owned()));
    file::complaint(socket).into_iter().chain(id).collect()
}

/// Calls a method, and returns what answers with the first message.
///
/// # Errors
/// What is missing, free of text from outside; reads on from the name of the API.
pub(super) async fn call(socket: &Path, method: &str, request: &[u8]) -> Result<(Call, Zeroizing<Vec<u8>>), String> {
    let answered = async {
        let mut call = begin(socket, method, request).await?;
        let first = call.next().await?;
        Ok((call, first))
    };
    tokio::time::timeout(ANSWER_TIME, answered).await.unwrap_or_else(|_| Err("did not answer within 5 s".to_owned()))
}

async fn begin(socket: &Path, method: &str, request: &[u8]) -> Result<Call, String> {
    let broken = |_| "gave no whole gRPC answer".to_owned();
    let stream = UnixStream::connect(socket).await;
    let stream = stream.map_err(|error| format!("takes no connection at `{}`: {}", socket.display(), file::words(error.kind())))?;
    let (sender, connection) = h2::client::handshake(stream).await.map_err(broken)?;
    let connection = tokio::spawn(connection);
    let mut sender = sender.ready().await.map_err(broken)?;
    let (response, mut body) = sender.send_request(head(method)?, false).map_err(broken)?;
    let length = u32::try_from(request.len()).map_err(|_| "was asked for too much".to_owned())?;
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(request);
    body.send_data(Bytes::from(framed), true).map_err(broken)?;
    let response = response.await.map_err(broken)?;
    if response.status() != StatusCode::OK {
        return Err(format!("answered {}", response.status().as_u16()));
    }
    // An answer without messages has its status in the head.
    if response.headers().contains_key("grpc-status") {
        return Err(refusal(response.headers()));
    }
    Ok(Call { stream: response.into_body(), received: Zeroizing::default(), connection })
}

fn head(method: &str) -> Result<Request<()>, String> {
    let mut head = Request::new(());
    *head.method_mut() = Method::POST;
    *head.version_mut() = Version::HTTP_2;
    let uri = format!("http://localhost/SpiffeWorkloadAPI/{method}").parse();
    *head.uri_mut() = uri.map_err(|_| "has no such method".to_owned())?;
    // What proves that no browser was made to send this (SPIFFE Workload Endpoint, section 5).
    head.headers_mut().insert(HeaderName::from_static("workload.spiffe.io"), HeaderValue::from_static("true"));
    head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    Ok(head)
}

impl Call {
    /// Waits for the next message.
    ///
    /// # Errors
    /// As [`call`]; also where there is none any more.
    pub(super) async fn next(&mut self) -> Result<Zeroizing<Vec<u8>>, String> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            match self.stream.data().await {
                Some(Ok(mut data)) => {
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    // Grown by hand: a vector that grows by itself leaves a copy of what it held.
                    let mut grown = Zeroizing::new(Vec::with_capacity(self.received.len() + data.len()));
                    grown.extend_from_slice(&self.received);
                    while data.has_remaining() {
                        let chunk = data.chunk().len();
                        grown.extend_from_slice(data.chunk());
                        data.advance(chunk);
                    }
                    self.received = grown;
                }
                Some(Err(_)) => return Err("broke off".to_owned()),
                None => {
                    let trailers = self.stream.trailers().await.ok().flatten();
                    return Err(trailers.map_or_else(|| "broke off".to_owned(), |trailers| refusal(&trailers)));
                }
            }
        }
    }

    /// The first message, where it is there as a whole.
    fn take(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        let Some((&[compressed, a, b, c, d], rest)) = self.received.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if compressed != 0 || length > MESSAGE_BYTES_MAX {
            return Err("gave a message that is compressed, or larger than 1 MiB".to_owned());
        }
        let Some((message, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        let (message, rest) = (Zeroizing::new(message.to_vec()), Zeroizing::new(rest.to_vec()));
        self.received = rest;
        Ok(Some(message))
    }
}

/// What a status of gRPC says; its text is never repeated.
fn refusal(headers: &HeaderMap) -> String {
    let code = headers.get("grpc-status").and_then(|code| code.to_str().ok()).unwrap_or_default();
    match code {
        "0" => "ended".to_owned(),
        "3" => "answered `InvalidArgument`: it does not know what the policy asks for".to_owned(),
        "7" => "answered `PermissionDenied`: it has no identity for the process of keygress; register it".to_owned(),
        "14" => "answered `Unavailable`".to_owned(),
        code if code.len() <= 2 && code.bytes().all(|byte| byte.is_ascii_digit()) => format!("answered with the gRPC status {code}"),
        _ => "answered without a gRPC status".to_owned(),
    }
}

/// A copy that is wiped.
fn secret(bytes: &[u8]) -> Secret {
    Secret::new(bytes.to_vec())
}
