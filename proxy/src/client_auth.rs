//! A client certificate that a destination is shown when a connection to it is made.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// The certificate of one lease, and what signs with its key. Two are the same where their lease is.
pub struct ClientAuth {
    lease: Arc<str>,
    key: Arc<CertifiedKey>,
}

impl ClientAuth {
    /// What is shown under this lease.
    #[must_use]
    pub fn new(lease: Arc<str>, key: CertifiedKey) -> Self {
        Self { lease, key: Arc::new(key) }
    }

    /// The part of it that one handshake sees.
    #[must_use]
    pub fn showing(&self) -> Arc<Showing> {
        Arc::new(Showing { key: Arc::clone(&self.key), shown: AtomicBool::new(false) })
    }
}

impl PartialEq for ClientAuth {
    fn eq(&self, other: &Self) -> bool {
        self.lease == other.lease
    }
}

impl Eq for ClientAuth {}

impl Hash for ClientAuth {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lease.hash(state);
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// A certificate in one handshake: tells whether the destination asked for it.
#[derive(Debug)]
pub struct Showing {
    key: Arc<CertifiedKey>,
    shown: AtomicBool,
}

impl Showing {
    /// Whether the destination asked, and the key can sign as it wants.
    #[must_use]
    pub fn was_shown(&self) -> bool {
        self.shown.load(Ordering::Acquire)
    }
}

impl ResolvesClientCert for Showing {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.key.key.choose_scheme(schemes)?;
        self.shown.store(true, Ordering::Release);
        Some(Arc::clone(&self.key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
