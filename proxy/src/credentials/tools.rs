use std::sync::Arc;

use super::changes::Changes;
use super::http::Http;
use super::state::Turns;

/// What a provider may use of the world besides the files and programs that its own shape names.
pub struct Tools {
    /// The HTTP client.
    pub(super) http: Http,
    /// Tells when a watched folder changed.
    pub(super) changes: Changes,
    /// Turns at what all holders share.
    pub(super) turns: Turns,
}

impl Tools {
    /// `roots` verify the issuers; the operating system's roots and extra ones are the caller's to gather.
    pub(super) fn new(roots: Arc<rustls::RootCertStore>) -> Self {
        Self { http: Http::new(roots), changes: Changes::new(), turns: Turns::default() }
    }
}
