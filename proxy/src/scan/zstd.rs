use std::io::{self, Read};

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// How much is read at once.
const PIECE_BYTES: usize = 64 << 10;

/// The largest window, as a power of two: what image builders use at most.
const WINDOW_LOG_MAX: u32 = 27;

/// What comes out of a zstd stream.
pub(super) struct Zstd<R> {
    inner: R,
    context: DCtx<'static>,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
}

impl<R: Read> Zstd<R> {
    pub(super) fn new(inner: R) -> io::Result<Self> {
        let mut context = DCtx::try_create().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(Self { inner, context, buffer: vec![0; PIECE_BYTES], at: 0, filled: 0 })
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.at == self.filled {
                self.filled = self.inner.read(&mut self.buffer)?;
                self.at = 0;
            }
            let mut input = InBuffer::around(self.buffer.get(self.at..self.filled).unwrap_or_default());
            let mut output = OutBuffer::around(&mut *into);
            let is_end = self.filled == 0;
            self.context.decompress_stream(&mut output, &mut input).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            self.at += input.pos();
            let given = output.pos();
            if given > 0 || is_end || into.is_empty() {
                return Ok(given);
            }
        }
    }
}
