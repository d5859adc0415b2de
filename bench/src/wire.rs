//! What client and servers have in common: one kind of stream, one kind of body, one executor. hyper is compiled once for each kind of them, and
//! the product carries what comes of it.

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// The largest piece of a body.
const PIECE: usize = 64 * 1024;

/// Text, so that whoever compresses or scans has something to look at.
static LETTERS: LazyLock<Bytes> = LazyLock::new(letters);

/// One server-sent event.
const EVENT: &[u8] = b"event: tick\ndata: {\"part\":\"of an answer that takes its time\"}\n\n";

/// How long it takes from one event to the next.
const EVENT_INTERVAL: Duration = Duration::from_millis(5);

/// 23 is prime to the length: no power of two shows the same piece twice.
fn letters() -> Bytes {
    (b'a'..=b'w').cycle().take(PIECE).collect()
}

/// Anything that bytes go through.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What hyper is given.
pub(crate) type Io = TokioIo<Box<dyn Stream>>;

/// A stream as hyper wants it.
pub(crate) fn io(stream: impl Stream + 'static) -> Io {
    TokioIo::new(Box::new(stream))
}

/// What hyper spawns stays on the thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here;

impl<F: Future + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// A body that is sent.
pub(crate) enum Outgoing {
    /// So many letters, in pieces of one buffer that is never copied.
    Letters(u64),
    /// These bytes.
    Whole(Bytes),
    /// What came.
    Echo(Incoming),
    /// So many events, each after a while.
    Events(u64, Pin<Box<tokio::time::Sleep>>),
}

impl Outgoing {
    /// So many server-sent events.
    pub(crate) fn events(events: u64) -> Self {
        Self::Events(events, Box::pin(tokio::time::sleep(EVENT_INTERVAL)))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Letters(0) | Self::Events(0, _) => Poll::Ready(None),
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Letters(left) => {
                let piece = usize::try_from(*left).unwrap_or(PIECE).min(PIECE);
                *left -= piece as u64;
                Poll::Ready(Some(Ok(Frame::data(LETTERS.slice(..piece)))))
            }
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Echo(body) => Pin::new(body).poll_frame(context),
            Self::Events(left, pause) => {
                ready!(pause.as_mut().poll(context));
                *left -= 1;
                *pause = Box::pin(tokio::time::sleep(EVENT_INTERVAL));
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(EVENT)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Letters(left) | Self::Events(left, _) => *left == 0,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Echo(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Letters(left) => SizeHint::with_exact(*left),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Echo(body) => body.size_hint(),
            Self::Events(..) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_is_exactly_as_long_as_it_says() {
        for bytes in [0, 1, 64 * 1024, 200_000] {
            assert_eq!(Outgoing::Letters(bytes).size_hint().exact(), Some(bytes));
            assert_eq!(Outgoing::Letters(bytes).collect().await.unwrap().to_bytes().len() as u64, bytes);
        }
        assert_eq!(Outgoing::Whole("abc".into()).collect().await.unwrap().to_bytes(), "abc");
        assert_eq!(Outgoing::events(3).collect().await.unwrap().to_bytes().len(), EVENT.len() * 3);
    }
}
