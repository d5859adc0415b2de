use std::fmt;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::sigv4::Chunks;
use crate::destination::Scheme;

/// Sixteen bytes that nobody can foresee, where a signature wants something that was never there before.
pub type Nonce = fn() -> [u8; 16];

/// What an injection may know of a request beside its head. Handed in: policy reads no clock and no body, and draws no lots.
#[derive(Clone, Copy)]
pub struct Sending<'r> {
    /// The time of day.
    pub now: Timestamp,
    /// Draws a nonce; asked only by what needs one.
    pub nonce: Nonce,
    /// `https`, or `http` where the rule says so.
    pub scheme: Scheme,
    /// `Host` as it will be sent: `api.example.com`, with a port where that is not the scheme's own.
    pub authority: &'r str,
    /// The whole body, empty where there is none; `None` where it streams past.
    pub body: Option<&'r [u8]>,
}

/// What becomes of the body.
pub enum Payload {
    /// It goes as it came.
    AsItCame,
    /// These bytes go in its place.
    Replaced(Zeroizing<Vec<u8>>),
    /// It goes through these chunks, which sign it on the way.
    Resigned(Box<Chunks>),
}

impl fmt::Debug for Payload {
    /// Never shows the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsItCame => "AsItCame",
            Self::Replaced(_) => "Replaced(…)",
            Self::Resigned(_) => "Resigned(…)",
        })
    }
}
