//! The token issuer: OAuth2 client credentials (RFC 6749) and revocation (RFC 7009), with counters.

use serde::{Deserialize, Serialize};

/// How it serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// How long a token lives, in seconds.
    pub token_seconds: u64,
}
