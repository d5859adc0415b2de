//! Content codings: taken off while the body streams, a piece at a time, within limits.

use std::io::Write;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::{Buf, Bytes};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// The most that a byte of a coding may become, once [`RATIO_FREE_BYTES`] came of it.
const RATIO_MAX: u64 = 1000;

/// Small answers may be as dense as they like.
const RATIO_FREE_BYTES: u64 = 64 << 10;

/// How much comes off at once. What a coding looks back on is bounded by its window, so an answer may be as long as it likes: 32 KiB of
/// deflate, 16 MiB of brotli, 8 MiB of zstd.
const PIECE_BYTES: usize = 32 << 10;

/// The largest window of zstd, as a power of two: that of RFC 9659.
const ZSTANDARD_WINDOW_LOG_MAX: u32 = 23;

/// A coding that can be taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 alone, as some servers send.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstandard,
}

/// Why a coding could not be taken off; the body ends as broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoilt {
    /// It is not what it says, or ends too early, or goes on after its end.
    Malformed,
    /// Its ratio is that of a bomb, or there is no memory to take it off.
    TooLarge,
}

/// A body whose coding is being taken off.
pub(super) struct Inflate {
    decoder: Decoder,
    input: Bytes,
    /// The room in which a piece is made.
    room: Vec<u8>,
    taken: u64,
    given: u64,
}

enum Decoder {
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// Nothing came yet: its first bytes say which of the two it is.
    Deflate(Vec<u8>),
    Zlib(ZlibDecoder<Vec<u8>>),
    Raw(DeflateDecoder<Vec<u8>>),
    Brotli {
        state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
        ended: bool,
    },
    Zstandard {
        context: DCtx<'static>,
        frame_ended: bool,
    },
}

impl Coding {
    /// The coding of this name (RFC 9110, section 8.4.1).
    #[must_use]
    pub(super) fn named(name: &str) -> Option<Self> {
        let names =
            [("gzip", Self::Gzip), ("x-gzip", Self::Gzip), ("deflate", Self::Deflate), ("br", Self::Brotli), ("zstd", Self::Zstandard)];
        names.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, coding)| coding)
    }
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inflate({} to {} bytes)", self.taken, self.given)
    }
}

impl Inflate {
    /// A body of this coding of which nothing came yet.
    ///
    /// # Errors
    /// [`Spoilt::TooLarge`] where there is no memory for it.
    pub(super) fn new(coding: Coding) -> Result<Self, Spoilt> {
        let decoder = match coding {
            Coding::Gzip => Decoder::Gzip(MultiGzDecoder::new(Vec::new())),
            Coding::Deflate => Decoder::Deflate(Vec::new()),
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                let mut state = Box::new(BrotliState::new(alloc(), alloc(), alloc()));
                state.large_window = false;
                Decoder::Brotli { state, ended: false }
            }
            Coding::Zstandard => {
                let mut context = DCtx::try_create().ok_or(Spoilt::TooLarge)?;
                context.set_parameter(DParameter::WindowLogMax(ZSTANDARD_WINDOW_LOG_MAX)).map_err(|_| Spoilt::TooLarge)?;
                Decoder::Zstandard { context, frame_ended: false }
            }
        };
        Ok(Self { decoder, input: Bytes::new(), room: Vec::new(), taken: 0, given: 0 })
    }

    /// Takes what came; what came before must have been taken out.
    pub(super) fn feed(&mut self, input: Bytes) {
        self.input = input;
    }

    /// The next piece; `None` once all that came is through.
    ///
    /// # Errors
    /// [`Spoilt`].
    pub(super) fn piece(&mut self) -> Result<Option<Bytes>, Spoilt> {
        while !self.input.is_empty() || self.decoder.has_more() {
            self.room.clear();
            let taken = self.decoder.step(&self.input, &mut self.room)?;
            self.input.advance(taken.min(self.input.len()));
            self.taken += taken as u64;
            self.given += self.room.len() as u64;
            if self.given > RATIO_FREE_BYTES.max(self.taken.saturating_mul(RATIO_MAX)) {
                return Err(Spoilt::TooLarge);
            }
            if !self.room.is_empty() {
                return Ok(Some(Bytes::copy_from_slice(&self.room)));
            }
            if taken == 0 {
                break;
            }
        }
        if self.input.is_empty() { Ok(None) } else { Err(Spoilt::Malformed) }
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// [`Spoilt::Malformed`] where its end is missing.
    pub(super) fn finish(&mut self) -> Result<(), Spoilt> {
        // A body of no bytes at all is no coding of anything: some servers send that.
        if self.taken == 0 { Ok(()) } else { self.decoder.finish() }
    }
}

impl Decoder {
    /// Takes some of the input, adds what came of it to the output, and says how much it took.
    fn step(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Spoilt> {
        if let Self::Deflate(first) = self {
            let missing = 2_usize.saturating_sub(first.len());
            let taken = input.len().min(missing);
            first.extend(input.iter().take(missing));
            if first.len() == 2 {
                *self = Self::told(first, output)?;
            }
            return Ok(taken);
        }
        match self {
            Self::Gzip(decoder) => drained(decoder, input, output, MultiGzDecoder::get_mut),
            Self::Zlib(decoder) => drained(decoder, input, output, ZlibDecoder::get_mut),
            Self::Raw(decoder) => drained(decoder, input, output, DeflateDecoder::get_mut),
            Self::Deflate(_) => Ok(0),
            Self::Brotli { ended: true, .. } => Ok(0),
            Self::Brotli { state, ended } => {
                output.resize(PIECE_BYTES, 0);
                let (mut left, mut taken, mut room, mut given) = (input.len(), 0, output.len(), 0);
                let result = BrotliDecompressStream(&mut left, &mut taken, input, &mut room, &mut given, output, &mut 0, state);
                output.truncate(given);
                *ended = matches!(result, BrotliResult::ResultSuccess);
                if matches!(result, BrotliResult::ResultFailure) { Err(Spoilt::Malformed) } else { Ok(taken) }
            }
            Self::Zstandard { context, frame_ended } => {
                output.resize(PIECE_BYTES, 0);
                let mut source = InBuffer::around(input);
                let mut target = OutBuffer::around(output.as_mut_slice());
                let left = context.decompress_stream(&mut target, &mut source).map_err(|_| Spoilt::Malformed)?;
                let (taken, given) = (source.pos(), target.pos());
                output.truncate(given);
                *frame_ended = left == 0;
                Ok(taken)
            }
        }
    }

    /// Whether there may be output without further input.
    fn has_more(&self) -> bool {
        match self {
            Self::Brotli { ended, .. } => !ended,
            Self::Zstandard { frame_ended, .. } => !frame_ended,
            Self::Gzip(_) | Self::Deflate(_) | Self::Zlib(_) | Self::Raw(_) => false,
        }
    }

    /// Zlib where the first two bytes are its header (RFC 1950, section 2.2), else deflate alone.
    fn told(first: &[u8], output: &mut Vec<u8>) -> Result<Self, Spoilt> {
        let header = first.iter().fold(0_u16, |header, byte| header << 8 | u16::from(*byte));
        let is_zlib = header >> 8 & 15 == 8 && header % 31 == 0;
        let mut decoder = if is_zlib { Self::Zlib(ZlibDecoder::new(Vec::new())) } else { Self::Raw(DeflateDecoder::new(Vec::new())) };
        match decoder.step(first, output)? {
            2 => Ok(decoder),
            _ => Err(Spoilt::Malformed),
        }
    }

    fn finish(&mut self) -> Result<(), Spoilt> {
        let ended = match self {
            Self::Gzip(decoder) => decoder.try_finish().is_ok(),
            Self::Zlib(decoder) => decoder.try_finish().is_ok(),
            Self::Raw(decoder) => decoder.try_finish().is_ok(),
            Self::Deflate(_) => false,
            Self::Brotli { ended, .. } => *ended,
            Self::Zstandard { frame_ended, .. } => *frame_ended,
        };
        if ended { Ok(()) } else { Err(Spoilt::Malformed) }
    }
}

/// Writes input to a decoder of flate2 and takes out what came of it.
fn drained<D: Write>(decoder: &mut D, input: &[u8], output: &mut Vec<u8>, inner: fn(&mut D) -> &mut Vec<u8>) -> Result<usize, Spoilt> {
    let taken = decoder.write(input).map_err(|_| Spoilt::Malformed)?;
    decoder.flush().map_err(|_| Spoilt::Malformed)?;
    output.append(inner(decoder));
    Ok(taken)
}

#[cfg(test)]
mod tests;
