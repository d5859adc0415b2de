//! Bodies: streamed both ways, never buffered; an idle limit; trailers only where they are let through.

/// Bodies that are read before they are sent.
mod whole;

/// Bodies whose chunks are signed on the way.
mod resigned;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::scrub::{Sieve, Spoilt};
use crate::stops::Tie;
use crate::worker::Serving;

pub use resigned::Resigned;
pub use whole::Unread;

/// How long a body may stand still in either direction.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A body on its way out or back.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Our own words: a problem document.
    Text(Option<Bytes>),
    /// Somebody's bytes, passed on as they come.
    Stream(Box<Stream>),
    /// Somebody's bytes, signed chunk by chunk.
    Resigned(Box<Resigned>),
}

/// What happens to the trailers of a stream.
#[derive(Debug)]
pub enum Trailers {
    /// They are passed on (responses: gRPC status).
    Pass,
    /// Only these are.
    Only(Vec<HeaderName>),
}

/// A body that passes through.
#[derive(Debug)]
pub struct Stream {
    incoming: Incoming,
    trailers: Trailers,
    idle_limit: Option<Duration>,
    /// Runs while the next frame is awaited: not while the other side takes its time with the last one.
    idle: Option<Pin<Box<Sleep>>>,
    /// Watches what comes back.
    sieve: Option<Sieve>,
    /// Trailers that wait for the data before them.
    waiting: Option<HeaderMap>,
    /// Ends it when what it concerns is stopped.
    tie: Option<Tie>,
    /// Held for its drop alone.
    kept: Option<Serving>,
    /// Told where the caller fails.
    fate: Option<Fate>,
}

/// Whether the body of a request came to its end: what carries it says only that it did not.
#[derive(Clone, Debug, Default)]
pub struct Fate(Arc<OnceLock<&'static str>>);

impl Fate {
    /// What the caller did wrong, if it did.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        self.0.get().copied()
    }

    fn is_sealed_by(&self, broken: &Broken) {
        let fault = match broken {
            Broken::Idle => "the body of the request stood still for too long",
            Broken::Transport(_) | Broken::Stopped | Broken::Chunks(_) | Broken::Spoilt(_) => {
                "the body of the request is not what its head announces, or breaks off"
            }
        };
        // The first one counts.
        let _ = self.0.set(fault);
    }
}

/// Why a stream ended early: always a reset, never a clean end.
#[derive(Debug)]
pub enum Broken {
    /// The other side failed.
    Transport(hyper::Error),
    /// Nothing came for the idle limit.
    Idle,
    /// What it concerns was stopped.
    Stopped,
    /// It is not the chunks that its head announced.
    Chunks(&'static str),
    /// Its coding could not be taken off.
    Spoilt(Spoilt),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Idle => f.write_str("the body stood still for too long"),
            Self::Stopped => f.write_str("what the body concerns was stopped"),
            Self::Chunks(why) => f.write_str(why),
            Self::Spoilt(Spoilt::Malformed) => f.write_str("the body is not in the coding that its head names"),
            Self::Spoilt(Spoilt::TooLarge) => f.write_str("the body comes to more than its coding may"),
        }
    }
}

impl std::error::Error for Broken {}

impl Body {
    /// Our own words.
    #[must_use]
    pub fn text(bytes: Bytes) -> Self {
        Self::Text(Some(bytes))
    }

    /// The body of a request: ends with an error where nothing comes for [`IDLE_TIMEOUT`]; named trailers alone pass. `reading` is held until
    /// it is through.
    #[must_use]
    pub fn request(incoming: Incoming, trailers: &[HeaderName], reading: Option<Serving>) -> Self {
        let mut body = Self::stream(incoming, Trailers::Only(trailers.to_vec()), Some(IDLE_TIMEOUT), (None, None));
        if let Self::Stream(stream) = &mut body {
            (stream.fate, stream.kept) = (Some(Fate::default()), reading);
        }
        body
    }

    /// What becomes of the body of a request; `None` where nothing is streamed.
    #[must_use]
    pub fn fate(&self) -> Option<Fate> {
        match self {
            Self::Stream(stream) => stream.fate.clone(),
            Self::Empty | Self::Text(_) | Self::Resigned(_) => None,
        }
    }

    /// The body of a response, through a sieve where it must be searched. An event stream may rest as long as it likes: the two ends
    /// decide.
    #[must_use]
    pub fn response(incoming: Incoming, sieve: Option<Sieve>, tie: Tie) -> Self {
        Self::stream(incoming, Trailers::Pass, None, (sieve, Some(tie)))
    }

    fn stream(incoming: Incoming, trailers: Trailers, idle: Option<Duration>, (sieve, tie): (Option<Sieve>, Option<Tie>)) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        Self::Stream(Box::new(Stream {
            incoming,
            trailers,
            idle_limit: idle,
            idle: None,
            sieve,
            waiting: None,
            tie,
            kept: None,
            fate: None,
        }))
    }

    /// The request counts as being served until this body is through; at once where nothing is streamed.
    pub fn keep(&mut self, serving: Serving) {
        if let Self::Stream(stream) = self {
            stream.kept = Some(serving);
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(text.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => stream.poll_frame(cx),
            Self::Resigned(resigned) => resigned.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_none(),
            Self::Stream(stream) => stream.is_end_stream(),
            Self::Resigned(resigned) => resigned.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(stream) => stream.size_hint(),
            Self::Resigned(resigned) => resigned.size_hint(),
        }
    }
}

impl Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            match self.sifted() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.sieve.as_ref().is_some_and(Sieve::has_ended) => return Poll::Ready(None),
                Ok(None) => {}
                Err(spoilt) => return Poll::Ready(Some(Err(Broken::Spoilt(spoilt)))),
            }
            let frame = match ready!(self.poll_incoming(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(broken)) => {
                    if let Some(fate) = &self.fate {
                        fate.is_sealed_by(&broken);
                    }
                    return Poll::Ready(Some(Err(broken)));
                }
                None => match self.end() {
                    Ok(true) => continue,
                    Ok(false) => return Poll::Ready(None),
                    Err(broken) => return Poll::Ready(Some(Err(broken))),
                },
            };
            match (frame.into_data(), &mut self.sieve) {
                (Ok(data), None) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                (Ok(data), Some(sieve)) => sieve.take(data),
                (Err(frame), sieve) => {
                    let Some(mut trailers) = frame.into_trailers().ok().and_then(|trailers| self.trailers.let_through(trailers)) else {
                        continue;
                    };
                    let Some(sieve) = sieve else { return Poll::Ready(Some(Ok(Frame::trailers(trailers)))) };
                    sieve.trailers(&mut trailers);
                    self.waiting = Some(trailers);
                    if let Err(broken) = self.end() {
                        return Poll::Ready(Some(Err(broken)));
                    }
                }
            }
        }
    }

    /// The next frame as it comes, within the idle limit and until it is stopped.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.tie.as_ref().is_some_and(Tie::is_cut) {
            return Poll::Ready(Some(Err(Broken::Stopped)));
        }
        let Poll::Ready(next) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            if self.tie.as_ref().is_some_and(|tie| tie.poll_cut(cx).is_ready()) {
                return Poll::Ready(Some(Err(Broken::Stopped)));
            }
            let Some(limit) = self.idle_limit else { return Poll::Pending };
            let sleep = self.idle.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
            ready!(sleep.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Broken::Idle)));
        };
        self.idle = None;
        Poll::Ready(next.map(|next| next.map_err(Broken::Transport)))
    }

    /// What the sieve lets go on: data, and after the last of it the trailers.
    fn sifted(&mut self) -> Result<Option<Frame<Bytes>>, Spoilt> {
        let Some(sieve) = &mut self.sieve else { return Ok(None) };
        let data = sieve.give()?.map(Frame::data);
        Ok(data.or_else(|| self.waiting.take().map(Frame::trailers)))
    }

    /// Tells the sieve that no more comes; whether there is one, which may have held something back.
    fn end(&mut self) -> Result<bool, Broken> {
        let Some(sieve) = &mut self.sieve else { return Ok(false) };
        sieve.end().map_err(Broken::Spoilt)?;
        Ok(true)
    }

    fn is_end_stream(&self) -> bool {
        let drained = self.sieve.as_ref().is_none_or(Sieve::is_drained);
        drained && self.waiting.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let coming = self.incoming.size_hint();
        self.sieve.as_ref().map_or(coming, |sieve| sieve.size_hint(&coming))
    }
}

impl Trailers {
    fn let_through(&self, mut trailers: HeaderMap) -> Option<HeaderMap> {
        match self {
            Self::Pass => Some(trailers),
            Self::Only(names) => {
                let mut kept = HeaderMap::new();
                for name in names {
                    if let http::header::Entry::Occupied(entry) = trailers.entry(name) {
                        let (name, values) = entry.remove_entry_mult();
                        for value in values {
                            kept.append(&name, value);
                        }
                    }
                }
                (!kept.is_empty()).then_some(kept)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn trailers_pass_only_by_name() {
        let mut trailers = HeaderMap::new();
        trailers.insert("authorization", "Bearer theirs".parse().unwrap());
        trailers.insert("x-checksum", "abc".parse().unwrap());
        let only = Trailers::Only(vec![HeaderName::from_static("x-checksum")]);
        let kept = only.let_through(trailers.clone()).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept["x-checksum"], "abc");
        assert!(Trailers::Only(Vec::new()).let_through(trailers.clone()).is_none());
        assert_eq!(Trailers::Pass.let_through(trailers).unwrap().len(), 2);
    }

    /// An upstream that takes its time is not a body that stands still.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_not_asked_for_more_does_not_stand_still() {
        use futures_util::FutureExt;
        use http_body_util::BodyExt;
        use tokio::io::AsyncWriteExt;

        let (mut caller, stream) = tokio::io::duplex(1024);
        let (told, mut outcome) = tokio::sync::mpsc::unbounded_channel();
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let told = told.clone();
            async move {
                let mut body = Body::request(request.into_body(), &[], None);
                assert!(body.frame().await.unwrap().is_ok());
                // Asked once more in vain, and then not for a long time.
                assert!(body.frame().now_or_never().is_none());
                tokio::time::sleep(IDLE_TIMEOUT / 2).await;
                told.send(None).unwrap();
                tokio::time::sleep(IDLE_TIMEOUT * 2).await;
                told.send(Some(body.collect().await.is_ok())).unwrap();
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::Empty))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service);
        caller.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nfour").await.unwrap();
        let rest = async {
            assert_eq!(outcome.recv().await, Some(None));
            caller.write_all(b"more").await.unwrap();
            assert_eq!(outcome.recv().await, Some(Some(true)));
        };
        tokio::select! {
            _ = connection => panic!("the connection ended first"),
            () = rest => {}
        }
    }

    /// A request whose body stops after its first bytes, as the proxy reads it.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_ends_as_broken() {
        use http_body_util::BodyExt;
        use tokio::io::AsyncWriteExt;

        let (mut caller, stream) = tokio::io::duplex(1024);
        let (told, mut outcome) = tokio::sync::mpsc::unbounded_channel();
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let told = told.clone();
            async move {
                let read = Body::request(request.into_body(), &[], None).collect().await;
                told.send(matches!(read, Err(Broken::Idle))).unwrap();
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::Empty))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service);
        let began = Instant::now();
        caller.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nfour").await.unwrap();
        // The connection may end in the very poll that tells the outcome.
        let (_ended, idle) = tokio::join!(connection, outcome.recv());
        assert_eq!(idle, Some(true));
        assert_eq!(began.elapsed(), IDLE_TIMEOUT);
    }
}
