use std::future::poll_fn;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;

use super::{Body, Broken};

/// Why a body could not be read whole.
#[derive(Debug)]
pub enum Unread {
    /// It is larger than what may be held, in bytes.
    TooLarge(usize),
    /// It ended early.
    Broken(Broken),
}

impl Body {
    /// Reads it to its end, for the few injections that sign or change it: what comes back holds its bytes. Trailers are dropped.
    ///
    /// # Errors
    /// [`Unread`]; a body whose length is known is refused before it is read.
    pub async fn whole(mut self, bytes_max: usize) -> Result<Self, Unread> {
        if matches!(self, Self::Empty | Self::Text(_)) {
            return Ok(self);
        }
        let known = usize::try_from(self.size_hint().lower()).unwrap_or(usize::MAX);
        if known > bytes_max {
            return Err(Unread::TooLarge(bytes_max));
        }
        let mut read = BytesMut::with_capacity(known);
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else { continue };
            if read.len() + data.len() > bytes_max {
                return Err(Unread::TooLarge(bytes_max));
            }
            read.extend_from_slice(&data);
        }
        Ok(if read.is_empty() { Self::Empty } else { Self::text(read.freeze()) })
    }

    /// All of its bytes, where they are here.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Empty => Some(&[]),
            Self::Text(text) => text.as_deref(),
            Self::Stream(_) | Self::Resigned(_) => None,
        }
    }

    /// The same body once more, where it can be sent a second time.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Text(Some(text)) => Some(Self::text(Bytes::clone(text))),
            Self::Text(None) | Self::Stream(_) | Self::Resigned(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_here_already_can_be_sent_again() {
        let body = Body::text(Bytes::from_static(b"four")).whole(1).await.unwrap();
        assert_eq!(body.bytes(), Some(&b"four"[..]));
        assert_eq!(body.again().unwrap().bytes(), Some(&b"four"[..]));
        assert_eq!(Body::Empty.bytes(), Some(&b""[..]));
        assert!(matches!(Body::Empty.again(), Some(Body::Empty)));
        assert!(Body::Text(None).again().is_none());
    }
}
