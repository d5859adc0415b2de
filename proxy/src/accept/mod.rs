//! 1 · Connections in. Every way in ends in `exchange`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The local certificate authority that mints leaves for interception.
pub mod authority;

use crate::audit::Audit;
use crate::caller::Callers;
use crate::credentials::Credentials;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::reload::Live;

/// What every connection shares.
pub struct Shared {
    /// The policy in force.
    pub live: Arc<Live>,
    /// Running tasks and proofs.
    pub callers: Callers,
    /// Slots and leases.
    pub credentials: Credentials,
    /// Rate counters.
    pub limits: Limits,
    /// The audit.
    pub audit: Audit,
    /// The metrics.
    pub metrics: Metrics,
    /// Mints leaves for interception.
    pub authority: Arc<authority::Authority>,
    /// Roots that verify upstreams.
    pub roots: Arc<rustls::RootCertStore>,
}

/// Where to listen.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// TCP addresses; port 0 takes a free one.
    pub tcp: Vec<SocketAddr>,
    /// Unix socket paths; made 0666 in a directory whose mode decides who reaches them.
    pub unix: Vec<PathBuf>,
    /// Worker threads, one runtime each.
    pub workers: usize,
}

/// Open listeners.
pub struct Accepting {
    /// The bound TCP addresses, in the order asked for.
    pub tcp: Vec<SocketAddr>,
}

/// Opens the listeners and starts the workers.
///
/// # Errors
/// Where an address cannot be bound.
pub fn start(shared: Arc<Shared>, listen: &Listen) -> std::io::Result<Accepting> {
    let _ = (shared, listen);
    unimplemented!()
}

impl Accepting {
    /// Stops accepting, lets running requests finish within `grace`, then closes. Blocks.
    pub fn drain(self, grace: Duration) {
        let _ = grace;
        unimplemented!()
    }
}
