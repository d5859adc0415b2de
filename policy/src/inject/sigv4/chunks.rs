use std::fmt;
use std::sync::Arc;

use aws_lc_rs::{digest, hmac};

use super::keys::SigningKey;
use super::stamp::Stamp;
use super::{Signing, hex};

/// The largest chunk that is held while its signature is made; SDKs send 64 KiB to 1 MiB.
const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest line: of a chunk's size, or of a trailer.
const LINE_BYTES_MAX: usize = 1024;

/// Lines of the trailer.
const TRAILERS_MAX: usize = 8;

const CHUNK_SIGNATURE: &str = ";chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature:";
const SIGNATURE_DIGITS: usize = 64;

/// What stands in `x-amz-content-sha256` of a body in chunks of AWS's own (`aws-chunked`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Streaming {
    /// Every chunk has a signature.
    signed: bool,
    /// Checksums follow the last chunk.
    trailer: bool,
}

impl Streaming {
    pub(super) fn parse(payload_hash: &str) -> Option<Self> {
        match payload_hash {
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Some(Self { signed: true, trailer: false }),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Some(Self { signed: true, trailer: true }),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Some(Self { signed: false, trailer: true }),
            _ => None,
        }
    }
}

/// A body in chunks on its way through: each chunk is signed anew, after the one before it, and no signature of the application passes.
/// What comes out is as long as what goes in. It holds one chunk of at most 4 MiB.
pub struct Chunks {
    streaming: Streaming,
    key: Arc<SigningKey>,
    stamp: Stamp,
    scope: String,
    /// The signature of what went before.
    previous: String,
    state: State,
    line: Vec<u8>,
    /// Data of the chunk, where it is signed.
    data: Vec<u8>,
    /// Trailers as they are signed: `name:value\n` each.
    trailers: Vec<u8>,
    trailers_seen: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The line before a chunk.
    Size,
    /// So many bytes are to come; the size stood there as this text.
    Data {
        left: usize,
        size: String,
    },
    /// The line break after a chunk.
    AfterData,
    /// Lines after the last chunk, up to an empty one.
    Trailers,
    Done,
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("streaming", &self.streaming).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Chunks {
    /// `seed` is the signature of the request's head.
    pub(super) fn new(streaming: Streaming, signing: &Signing<'_>, seed: String) -> Self {
        Self {
            streaming,
            key: signing.keys.signing_key(&signing.stamp, signing.scope.region, signing.scope.service),
            stamp: signing.stamp,
            scope: signing.scope_text(),
            previous: seed,
            state: State::Size,
            line: Vec::new(),
            data: Vec::new(),
            trailers: Vec::new(),
            trailers_seen: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn seed(&self) -> &str {
        &self.previous
    }

    /// Whether all of it went through.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the next bytes and appends what can go out.
    ///
    /// # Errors
    /// Where they are not the chunks that the head announced: nothing more may be sent then.
    pub fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        while !input.is_empty() {
            input = match &mut self.state {
                State::Data { left, .. } => {
                    let (now, rest) = input.split_at(input.len().min(*left));
                    *left -= now.len();
                    let complete = *left == 0;
                    if self.streaming.signed {
                        self.data.extend_from_slice(now)
                    } else {
                        out.extend_from_slice(now)
                    }
                    if complete {
                        self.end_data(out);
                    }
                    rest
                }
                State::Done => return Err("something follows the last chunk"),
                State::Size | State::AfterData | State::Trailers => {
                    let (now, rest, complete) = match input.iter().position(|byte| *byte == b'\n') {
                        Some(at) => {
                            let (now, rest) = input.split_at(at + 1);
                            (now, rest, true)
                        }
                        None => (input, &[][..], false),
                    };
                    if self.line.len() + now.len() > LINE_BYTES_MAX {
                        return Err("a line among the chunks is too long");
                    }
                    self.line.extend_from_slice(now);
                    if complete {
                        let line = std::mem::take(&mut self.line);
                        self.take_line(&line, out)?;
                    }
                    rest
                }
            };
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        let text = std::str::from_utf8(line).map_err(|_| "a line among the chunks is not text")?;
        let line = text.strip_suffix("\r\n").ok_or("a line among the chunks does not end in CRLF")?;
        match self.state {
            State::Size => self.begin(line, out),
            State::AfterData if line.is_empty() => {
                out.extend_from_slice(b"\r\n");
                self.state = State::Size;
                Ok(())
            }
            State::Trailers => self.trailer(line, out),
            State::AfterData | State::Data { .. } | State::Done => Err("a chunk is longer than it says"),
        }
    }

    /// The line before a chunk; with the last chunk its signature goes out at once.
    fn begin(&mut self, line: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let size = if self.streaming.signed {
            let (size, signature) = line.split_once(CHUNK_SIGNATURE).ok_or("a chunk has no signature")?;
            is_signature(signature).then_some(size).ok_or("the signature of a chunk is none")?
        } else {
            line
        };
        if size.is_empty() || size.len() > 16 || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("a chunk has no size");
        }
        let left = usize::from_str_radix(size, 16).map_err(|_| "a chunk is too large")?;
        if self.streaming.signed && left > CHUNK_BYTES_MAX {
            return Err("a chunk is larger than 4 MiB");
        }
        if left > 0 {
            if !self.streaming.signed {
                out.extend_from_slice(line.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            self.state = State::Data { left, size: size.to_owned() };
            return Ok(());
        }
        self.write_size(size, out);
        self.state = State::Trailers;
        Ok(())
    }

    fn end_data(&mut self, out: &mut Vec<u8>) {
        if let State::Data { size, .. } = std::mem::replace(&mut self.state, State::AfterData)
            && self.streaming.signed
        {
            self.write_size(&size, out);
            out.append(&mut self.data);
        }
    }

    /// The line before a chunk, with the signature of what is in `data`.
    fn write_size(&mut self, size: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(size.as_bytes());
        if self.streaming.signed {
            let empty = hex(digest::digest(&digest::SHA256, b"").as_ref());
            let hash = hex(digest::digest(&digest::SHA256, &self.data).as_ref());
            self.sign("AWS4-HMAC-SHA256-PAYLOAD", &[&empty, "\n", &hash]);
            out.extend_from_slice(CHUNK_SIGNATURE.as_bytes());
            out.extend_from_slice(self.previous.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    fn trailer(&mut self, line: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if line.is_empty() {
            // The announced signature must have come before.
            let unsigned = self.streaming.signed && self.streaming.trailer && self.trailers_seen != usize::MAX;
            if unsigned {
                return Err("the trailer has no signature");
            }
            out.extend_from_slice(b"\r\n");
            self.state = State::Done;
            return Ok(());
        }
        if !self.streaming.trailer || self.trailers_seen >= TRAILERS_MAX {
            return Err("there is a trailer that was not announced");
        }
        if let Some(signature) = line.strip_prefix(TRAILER_SIGNATURE) {
            if !self.streaming.signed || !is_signature(signature) {
                return Err("the signature of the trailer is none");
            }
            let hash = hex(digest::digest(&digest::SHA256, &self.trailers).as_ref());
            self.sign("AWS4-HMAC-SHA256-TRAILER", &[&hash]);
            for part in [TRAILER_SIGNATURE, &self.previous, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
            self.trailers_seen = usize::MAX;
            return Ok(());
        }
        let (name, value) = line.split_once(':').ok_or("a line of the trailer has no name")?;
        if !name.starts_with("x-amz-checksum-")
            || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        {
            return Err("the trailer holds something other than checksums");
        }
        for part in [name, ":", value.trim(), "\n"] {
            self.trailers.extend_from_slice(part.as_bytes());
        }
        self.trailers_seen += 1;
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Signs what follows the signature before; the result stands in its place.
    fn sign(&mut self, algorithm: &str, rest: &[&str]) {
        let text = [algorithm, "\n", self.stamp.as_str(), "\n", &self.scope, "\n", &self.previous, "\n", &rest.concat()].concat();
        self.previous = hex(hmac::sign(&self.key.hmac, text.as_bytes()).as_ref());
    }
}

/// As long as ours, so that the length of the body stays the same.
fn is_signature(text: &str) -> bool {
    text.len() == SIGNATURE_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
