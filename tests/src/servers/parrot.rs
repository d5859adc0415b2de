//! A TLS upstream that repeats the credential which it is sent: in every form, coding and part of an answer, cut wherever it is asked.
//! What comes back to a caller from here must not hold it.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::header::{ACCEPT_RANGES, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::echo::tls;
use crate::site::{Site, Validity};

type Body = BoxBody<Bytes, Infallible>;

/// How a credential may be written.
pub const FORMS: [&str; 9] = ["raw", "base64", "base64-1", "base64-2", "base64url", "hex", "HEX", "percent", "json"];

/// How a body may be coded, as Content-Encoding says it; `raw` is deflate without the frame of zlib.
pub const CODINGS: [&str; 6] = ["identity", "gzip", "deflate", "raw", "br", "zstd"];

/// A running upstream. Its paths, where FORM is of [`FORMS`] and CODING of [`CODINGS`]:
///
/// - `/repeat/FORM/CODING/CUT`: the credential in a header, the body and a trailer; the body in pieces of CUT bytes, whole where it is 0.
/// - `/events`: a stream of events; the first holds nothing and is alone until somebody has asked for `/next`, the second is cut inside the credential.
/// - `/bomb/CODING`: 32 MiB of nothing. `/cut-off/CODING`: ends before its coding does. `/strange?CODINGS`: Content-Encoding as written.
/// - `/phrase`: in the reason phrase. `/range`: a range, asked for or not. `/asked`: the header fields of the request.
/// - `/stale`: 401 the first time; then both the credential of the first time and that of now.
pub struct Parrot {
    /// Its port.
    pub port: u16,
    /// Ends with the handle.
    _runtime: Runtime,
}

struct State {
    next: watch::Sender<u64>,
    first: std::sync::Mutex<Option<String>>,
}

impl Parrot {
    /// Starts it with a good certificate for this host; it speaks HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// Where no port or certificate can be had.
    pub fn start(site: &Site, host: &str) -> Result<Self> {
        Self::speaking(site, host, &[b"h2", b"http/1.1"])
    }

    /// Starts it; it speaks HTTP/1.1 alone.
    ///
    /// # Errors
    /// Where no port or certificate can be had.
    pub fn http1(site: &Site, host: &str) -> Result<Self> {
        Self::speaking(site, host, &[b"http/1.1"])
    }

    fn speaking(site: &Site, host: &str, protocols: &[&[u8]]) -> Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(&site.certificate(host, Validity::Current)?, protocols)?));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State { next: watch::Sender::new(0), first: std::sync::Mutex::default() });
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, acceptor.clone(), Arc::clone(&state)));
            }
        });
        Ok(Self { port, _runtime: runtime })
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, state: Arc<State>) -> Result<()> {
    let service = service_fn(move |request| answer(request, Arc::clone(&state)));
    let stream = acceptor.accept(stream).await?;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        return Ok(hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await?);
    }
    Ok(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?)
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Body>> {
    let value = request.headers().get(AUTHORIZATION).context("no credential")?.to_str()?.to_owned();
    let secret = value.strip_prefix("Bearer ").unwrap_or(&value);
    let query = request.uri().query().unwrap_or_default();
    let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    Ok(match path.as_slice() {
        ["repeat", form, coding, cut] => repeat(&written(secret, form)?, coding, cut.parse()?)?,
        ["events"] => events(secret, state.next.subscribe()),
        ["next"] => {
            state.next.send_modify(|count| *count += 1);
            whole(b"next\n")
        }
        ["bomb", coding] => coded_as(coding, whole(&coded(coding, &vec![0; 32 << 20])?))?,
        ["cut-off", coding] => {
            let bytes = coded(coding, secret.repeat(200).as_bytes())?;
            coded_as(coding, whole(bytes.split_at(bytes.len() - 9).0))?
        }
        ["strange"] => {
            let mut response = whole(secret.as_bytes());
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_str(query)?);
            response
        }
        ["phrase"] => {
            let mut response = whole(b"phrase\n");
            response.extensions_mut().insert(ReasonPhrase::try_from(format!("Fine {secret}").into_bytes())?);
            response
        }
        ["range"] => {
            let mut response = whole(secret.split_at(10).0.as_bytes());
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            response
        }
        ["asked"] => whole(format!("{:?}\n", request.headers()).as_bytes()),
        ["stale"] => stale(secret, &state)?,
        other => bail!("no such path: {other:?}"),
    })
}

/// The first credential is refused; after that, it and the one of now.
fn stale(secret: &str, state: &State) -> Result<Response<Body>> {
    let mut first = state.first.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    match &*first {
        Some(first) => Ok(whole(format!("old {first} new {secret}\n").as_bytes())),
        None => {
            *first = Some(secret.to_owned());
            let mut response = whole(b"who?\n");
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            Ok(response)
        }
    }
}

/// The secret in one form, as an upstream would come to write it.
///
/// # Errors
/// Where there is no such form.
pub fn written(secret: &str, form: &str) -> Result<String> {
    let each = |digits: fn(u8) -> String| secret.bytes().map(digits).collect::<String>();
    Ok(match form {
        "raw" => secret.to_owned(),
        "base64" => STANDARD.encode(secret),
        "base64-1" => STANDARD.encode(format!("u{secret}.")),
        "base64-2" => STANDARD.encode(format!("u:{secret}...")),
        "base64url" => URL_SAFE_NO_PAD.encode(format!("user:{secret}")),
        "hex" => each(|byte| format!("{byte:02x}")),
        "HEX" => each(|byte| format!("{byte:02X}")),
        "percent" => each(|byte| format!("%{byte:02X}")),
        "json" => each(|byte| format!("\\u{byte:04x}")),
        other => bail!("no such form: {other}"),
    })
}

fn repeat(written: &str, coding: &str, cut: usize) -> Result<Response<Body>> {
    let bytes = coded(coding, format!("before {written} after\n").as_bytes())?;
    let pieces: Vec<Bytes> = if cut == 0 { vec![bytes.into()] } else { bytes.chunks(cut).map(Bytes::copy_from_slice).collect() };
    let trailers = HeaderMap::from_iter([
        (HeaderName::from_static("x-last"), HeaderValue::from_str(written)?),
        (HeaderName::from_static("grpc-message"), HeaderValue::from_str(&format!("no%20{written}%21"))?),
    ]);
    let frames = pieces.into_iter().map(Frame::data).chain([Frame::trailers(trailers)]);
    let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
    let mut response = coded_as(coding, Response::new(BodyExt::boxed(body)))?;
    let headers = response.headers_mut();
    headers.insert("x-echo", HeaderValue::from_str(written)?);
    headers.insert(ETAG, HeaderValue::from_static("\"abc\""));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert("trailer", HeaderValue::from_static("x-last, grpc-message"));
    Ok(response)
}

/// Content-Encoding as a server writes it, with no length where there is a coding.
fn coded_as(coding: &str, mut response: Response<Body>) -> Result<Response<Body>> {
    if coding != "identity" {
        let name = if coding == "raw" { "deflate" } else { coding };
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_str(name)?);
    }
    Ok(response)
}

/// These bytes in a coding.
///
/// # Errors
/// Where there is no such coding.
pub fn coded(coding: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(match coding {
        "identity" => bytes.to_vec(),
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes)?;
            encoder.finish()?
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes)?;
            encoder.finish()?
        }
        "raw" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes)?;
            encoder.finish()?
        }
        "br" => {
            let mut encoded = Vec::new();
            brotli::BrotliCompress(&mut &bytes[..], &mut encoded, &brotli::enc::BrotliEncoderParams { quality: 4, ..Default::default() })?;
            encoded
        }
        "zstd" => {
            let mut encoded = vec![0; zstd_safe::compress_bound(bytes.len())];
            let len =
                zstd_safe::compress(encoded.as_mut_slice(), bytes, 3).map_err(zstd_safe::get_error_name).map_err(anyhow::Error::msg)?;
            encoded.truncate(len);
            encoded
        }
        other => bail!("no such coding: {other}"),
    })
}

fn events(secret: &str, mut next: watch::Receiver<u64>) -> Response<Body> {
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let (one, other) = secret.split_at(secret.len() / 2);
    let (one, other) = (format!("data: second {one}"), format!("{other}\n\n"));
    tokio::spawn(async move {
        sender.send(Ok(Frame::data(Bytes::from_static(b"data: first\n\n")))).await?;
        next.changed().await?;
        sender.send(Ok(Frame::data(one.into()))).await?;
        sender.send(Ok(Frame::data(other.into()))).await?;
        Ok::<_, anyhow::Error>(())
    });
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|frame| (frame, receiver)) });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(Box::pin(frames))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn whole(bytes: &[u8]) -> Response<Body> {
    let mut response = Response::new(http_body_util::Full::new(Bytes::copy_from_slice(bytes)).boxed());
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    response
}
