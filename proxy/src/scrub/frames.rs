//! WebSocket messages from the upstream (RFC 6455, section 5): payloads are searched across fragments and reads; frames stay as they are.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::sieve::Sieve;

/// How much is read at once.
const READ_BYTES: usize = 8 << 10;

/// The longest payload of a control frame.
const CONTROL_BYTES_MAX: u64 = 125;

/// A connection of which what is read is searched; written bytes pass.
pub struct Frames<S> {
    io: S,
    sifter: Option<Sifter>,
    /// What may be read.
    ready: BytesMut,
}

impl<S> Frames<S> {
    /// Searches where there is a sieve.
    #[must_use]
    pub fn around(io: S, sieve: Option<Sieve>) -> Self {
        Self { io, sifter: sieve.filter(Sieve::searches_bodies).map(Sifter::new), ready: BytesMut::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, sifter, ready } = &mut *self;
        let Some(sifter) = sifter else { return Pin::new(io).poll_read(cx, buf) };
        while ready.is_empty() {
            let mut room = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut read))?;
            match read.filled() {
                // What is held back was no whole frame: nobody misses it.
                [] => return Poll::Ready(Ok(())),
                bytes => sifter.pass(Bytes::copy_from_slice(bytes), ready)?,
            }
        }
        let len = ready.len().min(buf.remaining());
        buf.put_slice(&ready.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Takes frames apart and puts them together again.
struct Sifter {
    sieve: Sieve,
    /// The head of a frame, as far as it came.
    head: BytesMut,
    frame: Option<Frame>,
    /// The payload of a control frame, as far as it came.
    control: BytesMut,
    /// Bytes of messages that came.
    came: u64,
    /// Bytes of messages that went on.
    went: u64,
    /// Heads and control frames, each before the byte of a message of this number.
    between: VecDeque<(u64, Bytes)>,
}

/// A frame whose payload is coming.
struct Frame {
    left: u64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Control,
    Fragment,
    /// The last of its message.
    Last,
}

impl Sifter {
    fn new(sieve: Sieve) -> Self {
        Self { sieve, head: BytesMut::new(), frame: None, control: BytesMut::new(), came: 0, went: 0, between: VecDeque::new() }
    }

    fn pass(&mut self, mut bytes: Bytes, out: &mut BytesMut) -> io::Result<()> {
        while !bytes.is_empty() {
            let Some(Frame { left, kind }) = &mut self.frame else {
                self.head.extend_from_slice(&bytes.split_to(1));
                self.frame = head(&self.head)?;
                if self.frame.is_some() {
                    self.between.push_back((self.came, self.head.split().freeze()));
                    self.end_of_frame(out);
                }
                continue;
            };
            let payload = bytes.split_to(usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len()));
            *left -= payload.len() as u64;
            if *kind == Kind::Control {
                self.control.extend_from_slice(&payload);
            } else {
                self.came += payload.len() as u64;
                self.sieve.take(payload);
                self.give(out);
            }
            self.end_of_frame(out);
        }
        self.give(out);
        Ok(())
    }

    /// What there is to do once the payload of a frame is through.
    fn end_of_frame(&mut self, out: &mut BytesMut) {
        let Some(Frame { left: 0, kind }) = self.frame else { return };
        self.frame = None;
        match kind {
            Kind::Control => {
                let payload = self.control.split().freeze();
                self.between.push_back((self.came, self.sieve.text(payload)));
            }
            Kind::Fragment => {}
            Kind::Last => {
                self.sieve.flush();
                self.give(out);
            }
        }
    }

    /// Hands out what the sieve lets go on, each head before its payload.
    fn give(&mut self, out: &mut BytesMut) {
        // Without a coding nothing can be spoilt.
        let mut payload = self.sieve.give().ok().flatten().unwrap_or_default();
        loop {
            let before = self.between.front().map_or(u64::MAX, |(before, _)| *before);
            let len = usize::try_from(before - self.went).unwrap_or(usize::MAX).min(payload.len());
            out.extend_from_slice(&payload.split_to(len));
            self.went += len as u64;
            if self.went < before {
                return;
            }
            if let Some((_, bytes)) = self.between.pop_front() {
                out.extend_from_slice(&bytes);
            }
        }
    }
}

/// Reads the head of a frame; `None` until it is whole.
///
/// # Errors
/// Where it is compressed or masked, which was not asked for and could not be searched, or a control frame too long.
fn head(bytes: &[u8]) -> io::Result<Option<Frame>> {
    let mut rest = bytes;
    if rest.remaining() < 2 {
        return Ok(None);
    }
    let (first, second) = (rest.get_u8(), rest.get_u8());
    if first & 0x70 != 0 || second & 0x80 != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is compressed or masked: it cannot be searched"));
    }
    let left = match second {
        126 if rest.remaining() < 2 => return Ok(None),
        126 => u64::from(rest.get_u16()),
        127 if rest.remaining() < 8 => return Ok(None),
        127 => rest.get_u64(),
        len => u64::from(len),
    };
    let kind = match (first & 0x08 != 0, first & 0x80 != 0) {
        (true, _) => Kind::Control,
        (false, false) => Kind::Fragment,
        (false, true) => Kind::Last,
    };
    if kind == Kind::Control && left > CONTROL_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a control frame is too long"));
    }
    Ok(Some(Frame { left, kind }))
}

#[cfg(test)]
mod tests {
    use keygress_policy::material::Secret;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::needles::Needles;

    const KEY: &str = "s3cr3t-value";

    fn sieve() -> Sieve {
        Sieve::of_body(Needles::compile(&[Secret::new(KEY.into())]).unwrap(), 0, None)
    }

    fn frame(first: u8, payload: &str) -> Vec<u8> {
        let len = payload.len();
        let mut frame = vec![first];
        match u8::try_from(len) {
            Ok(len) if len < 126 => frame.push(len),
            _ if len < 1 << 16 => frame.extend([&[126], u16::try_from(len).unwrap().to_be_bytes().as_slice()].concat()),
            _ => frame.extend([&[127], (len as u64).to_be_bytes().as_slice()].concat()),
        }
        frame.extend(payload.as_bytes());
        frame
    }

    /// A text, a message in fragments with a ping between, a long one, a close.
    fn conversation(hide: impl Fn(&str) -> String) -> Vec<u8> {
        let long = format!("{}{KEY}{}", "x".repeat(70_000), "y".repeat(300));
        [
            frame(0x81, &hide(&format!("say {KEY}!"))),
            frame(0x81, ""),
            frame(0x01, &hide(&format!("one {KEY} s3c"))),
            frame(0x89, &hide(&format!("ping {KEY}"))),
            frame(0x00, ""),
            frame(0x00, "r3t"),
            frame(0x80, "-value two s3cr3t"),
            frame(0x81, "-value"),
            frame(0x82, &hide(&long)),
            frame(0x88, &hide(&format!("\u{3}\u{e8}{KEY}"))),
        ]
        .concat()
    }

    /// The conversation with everything masked; what is fragmented is masked by hand.
    fn masked() -> Vec<u8> {
        let masked = conversation(|text| text.replace(KEY, "************"));
        let masked = String::from_utf8_lossy(&masked).into_owned();
        assert!(masked.contains(" s3c\u{fffd}"));
        let mut bytes = conversation(|text| text.replace(KEY, "************"));
        let mut star = |part: &[u8]| {
            let at = bytes.windows(part.len()).position(|window| window == part).unwrap();
            bytes[at..at + part.len()].fill(b'*');
        };
        // Not the beginning at the end of the message: it is none that goes on.
        let whole: [&[u8]; 3] = [b"s3c\x89", b"r3t\x80", b"-value two"];
        star(&whole[0][..3]);
        star(&whole[1][..3]);
        star(&whole[2][..6]);
        bytes
    }

    fn sifted(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut sifter, mut out) = (Sifter::new(sieve()), BytesMut::new());
        bytes.chunks(piece).for_each(|piece| sifter.pass(Bytes::copy_from_slice(piece), &mut out).unwrap());
        out.to_vec()
    }

    #[test]
    fn messages_are_masked_wherever_they_are_cut_and_frames_stay() {
        let (came, expected) = (conversation(str::to_owned), masked());
        assert!(came.len() == expected.len() && came != expected);
        for piece in [1, 2, 3, 7, 64, 1000, 1 << 20] {
            assert!(sifted(&came, piece) == expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_message_goes_on_at_once() {
        let (mut sifter, mut out) = (Sifter::new(sieve()), BytesMut::new());
        for text in ["hello", "s3cr3t", "s3cr3t-"] {
            let frame = frame(0x81, text);
            sifter.pass(frame.clone().into(), &mut out).unwrap();
            assert_eq!(out.split(), frame, "nothing of a whole message is held back");
        }
    }

    #[test]
    fn what_cannot_be_searched_breaks_off() {
        for first in [[0xc1, 1], [0x81, 0x81], [0x89, 126]] {
            let bytes = [first.as_slice(), &[0, 200, 0, 0]].concat();
            assert!(Sifter::new(sieve()).pass(bytes.into(), &mut BytesMut::new()).is_err(), "{first:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_read_through_it_and_written_past_it() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let mut frames = Frames::around(near, Some(sieve()));
        far.write_all(&conversation(str::to_owned)).await.unwrap();
        let mut read = vec![0; masked().len()];
        frames.read_exact(&mut read).await.unwrap();
        assert!(read == masked());
        frames.write_all(KEY.as_bytes()).await.unwrap();
        let mut written = vec![0; KEY.len()];
        far.read_exact(&mut written).await.unwrap();
        assert_eq!(written, KEY.as_bytes());
        drop(far);
        assert_eq!(frames.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
