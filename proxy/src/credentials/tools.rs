use std::sync::Arc;

use super::changes::Changes;
use super::http::Http;
use super::programs::Programs;
use super::state::Turns;

/// What a provider may use of the world besides the files and programs that its own shape names.
pub struct Tools {
    /// The HTTP client.
    pub(super) http: Http,
    /// Tells when a watched folder changed.
    pub(super) changes: Changes,
    /// Starts the programs of the policy.
    pub(super) programs: Programs,
    /// Turns at what all holders share.
    pub(super) turns: Turns,
}

impl Tools {
    /// `roots` verify the issuers; the operating system's roots and extra ones are the caller's to gather.
    #[must_use]
    pub fn new(roots: Arc<rustls::RootCertStore>) -> Self {
        Self { http: Http::new(roots), changes: Changes::new(), programs: Programs::default(), turns: Turns::default() }
    }

    /// Programs are started by these.
    #[must_use]
    pub fn starting(self, programs: Programs) -> Self {
        Self { programs, ..self }
    }
}
