//! Bodies of requests: so many bytes, in pieces of one buffer that is never copied.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The pieces of a large body.
const PIECE: usize = 64 * 1024;

static ZEROES: [u8; PIECE] = [0; PIECE];

/// A body of so many zero bytes.
#[derive(Debug)]
pub(super) struct Outgoing {
    left: u64,
}

impl Outgoing {
    pub(super) fn new(bytes: u64) -> Self {
        Self { left: bytes }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        if piece == 0 {
            return Poll::Ready(None);
        }
        self.left -= piece as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(ZEROES.get(..piece).unwrap_or_default())))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn it_is_exactly_as_long_as_it_says() {
        for bytes in [0, 1, 64 * 1024, 200_000] {
            assert_eq!(Outgoing::new(bytes).size_hint().exact(), Some(bytes));
            assert_eq!(Outgoing::new(bytes).collect().await.unwrap().to_bytes().len() as u64, bytes);
        }
    }
}
