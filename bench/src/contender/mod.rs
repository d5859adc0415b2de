//! Who is measured: keygress and its peers, as child processes, all before the same upstream with the same credential.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;

use crate::load::Way;
use crate::scenario::Shape;
use crate::upstream::Upstream;

/// keygress itself.
pub mod keygress;

/// nginx, a reverse proxy.
pub mod nginx;

/// HAProxy, a reverse proxy.
pub mod haproxy;

/// Envoy, with its filter for credentials.
pub mod envoy;

/// squid, a forward proxy.
pub mod squid;

/// mitmproxy, an intercepting proxy.
pub mod mitmproxy;

/// A forwarder of a few hundred lines that does nothing else: who is below it does less.
pub mod floor;

/// What reverse proxies have in common.
mod reverse;

/// The certificates that peers show.
mod certificates;

/// The programs: found, pinned to a core, started, waited for.
mod program;

/// Configurations from `bench/peers`, filled in.
mod template;

/// A proxy that can be started.
pub trait Contender {
    /// Its name in tables: `keygress`, `nginx`, …
    fn name(&self) -> &str;

    /// Its version, as it says itself.
    fn version(&self) -> String;

    /// Whether it can do this; the error says why not, for the notes.
    ///
    /// # Errors
    /// Why it cannot.
    fn can(&self, shape: &Shape) -> Result<(), String>;

    /// Starts it, and returns when it accepts connections.
    ///
    /// # Errors
    /// Where it does not come up, with what it said.
    fn start(&self, site: &Site<'_>) -> anyhow::Result<Running>;
}

/// The peers, in the order of the tables. Which of them this machine has says [`is_installed`].
#[must_use]
pub fn peers() -> Vec<Box<dyn Contender>> {
    vec![
        Box::new(floor::Floor::default()),
        Box::new(nginx::Nginx),
        Box::new(haproxy::HaProxy),
        Box::new(envoy::Envoy),
        Box::new(squid::Squid),
        Box::new(mitmproxy::Mitmproxy),
    ]
}

/// Whether this machine has the program of a peer.
#[must_use]
pub fn is_installed(peer: &dyn Contender) -> bool {
    program::of(peer.name()).is_ok()
}

/// What a contender finds when it starts.
#[derive(Clone, Copy)]
pub struct Site<'s> {
    /// An empty folder of its own.
    pub folder: &'s Path,
    /// What it proxies to.
    pub upstream: &'s Upstream,
    /// What will be asked of it.
    pub shape: &'s Shape,
    /// A file, mode 0600, with the token alone. It belongs into `Authorization: Bearer TOKEN`.
    pub token_file: &'s Path,
    /// The token itself: peers that read no file write it into their configuration.
    pub token: &'s str,
    /// The core that it runs on; `None`: any. One worker in either case.
    pub core: Option<usize>,
}

/// A contender that runs; killed when it is dropped.
pub struct Running {
    /// Where and how it is asked.
    pub entry: Entry,
    /// The process.
    pub child: Child,
}

/// Where and how a contender is asked.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it wants to be asked.
    pub way: Way,
    /// The CA (PEM) of the certificate that it shows; empty on a plain way.
    pub trust_pem: String,
}

impl Running {
    /// The process; what came of it is below it ([`crate::meter::tree`]).
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        program::end(&mut self.child);
    }
}
