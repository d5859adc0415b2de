//! The local CA: made at start, key in memory, name-constrained to a ceiling.

use keygress_policy::compile::HostPattern;

/// A certificate authority that lives as long as the process.
pub struct Authority {}

impl Authority {
    /// Makes a CA that can only sign for these hosts, and what lies under their suffixes.
    ///
    /// # Errors
    /// Where the key or the certificate cannot be made.
    pub fn new(permit: &[HostPattern]) -> anyhow::Result<Self> {
        let _ = permit;
        unimplemented!()
    }

    /// The CA certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        unimplemented!()
    }

    /// Whether a host of a new policy lies under the ceiling.
    #[must_use]
    pub fn permits(&self, host: &HostPattern) -> bool {
        unimplemented!("{host:?}")
    }
}
