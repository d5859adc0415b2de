use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use keygress_policy::inject::Chunks;

use super::{Body, Broken};

/// A body whose chunks are signed anew while they pass; as long as the one that it was made of.
#[derive(Debug)]
pub struct Resigned {
    body: Body,
    chunks: Box<Chunks>,
}

impl Body {
    /// This body, with its chunks signed on the way. One that was to be signed already, and was not sent, is signed in this way instead.
    #[must_use]
    pub fn resigned(self, chunks: Box<Chunks>) -> Self {
        match self {
            // Of a body that goes to another connection not a byte has passed.
            Self::Resigned(mut resigned) => {
                resigned.chunks = chunks;
                Self::Resigned(resigned)
            }
            body @ (Self::Empty | Self::Text(_) | Self::Stream(_)) => Self::Resigned(Box::new(Resigned { body, chunks })),
        }
    }
}

impl Resigned {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                // A body that ends among its chunks must not look whole.
                return Poll::Ready((!self.chunks.is_done()).then_some(Err(Broken::Chunks("the last chunk never came"))));
            };
            // Trailers of HTTP have no place here: those of the chunks went through.
            let Ok(data) = frame?.into_data() else { continue };
            let mut out = Vec::with_capacity(data.len() + 128);
            if let Err(why) = self.chunks.feed(&data, &mut out) {
                return Poll::Ready(Some(Err(Broken::Chunks(why))));
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.chunks.is_done() && self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
