use jiff::Timestamp;

use super::sigv4::Chunks;

/// What an injection may know of a request beside its head. Handed in: policy reads no clock and no body.
#[derive(Clone, Copy)]
pub struct Sending<'r> {
    /// The time of day.
    pub now: Timestamp,
    /// `Host` as it will be sent: `api.example.com`, with a port where that is not the scheme's own.
    pub authority: &'r str,
    /// The whole body, empty where there is none; `None` where it streams past.
    pub body: Option<&'r [u8]>,
}

/// What becomes of the body.
#[derive(Debug)]
pub enum Payload {
    /// It goes as it came.
    AsItCame,
    /// It goes through these chunks, which sign it on the way.
    Resigned(Box<Chunks>),
}
