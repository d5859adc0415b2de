//! Where captured connections come from: a network namespace that all tests of a process share. What is dialled there at one of its
//! addresses the kernel brings to the listener of the same number, as the rules of `keygress net` would.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::alone;
use crate::client::{bare, output};
use crate::tools;

/// How many listeners a process may have. Their ports are below those that the kernel gives away.
const LISTENERS_MAX: u16 = 4096;

/// The port of the first.
const FIRST_PORT: u16 = 20_000;

/// The namespace, once somebody needed it.
static NAMESPACE: OnceLock<Result<File, String>> = OnceLock::new();

/// How many places were given away.
static PLACES: AtomicU16 = AtomicU16::new(0);

/// A listener, and the address at which whatever is dialled comes to it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where the proxy listens.
    pub listener: SocketAddr,
    /// What clients dial, at any port.
    pub dialled: IpAddr,
}

impl Place {
    /// One that nobody has.
    ///
    /// # Errors
    /// Where there are no more.
    pub fn free() -> Result<Self> {
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        ensure!(number < LISTENERS_MAX, "more than {LISTENERS_MAX} listeners for captured connections");
        Ok(Self::numbered(number))
    }

    fn numbered(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        Self {
            listener: SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST_PORT.saturating_add(number))),
            dialled: IpAddr::from([198, 18, high, low]),
        }
    }
}

/// Moves this thread, and all that it starts from now on, into the namespace.
///
/// # Errors
/// Where it cannot be made: that is root's, also of a user namespace.
pub fn enter() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "captured connections need a network namespace: run this as root, or under `unshare --user --map-root-user`"
    );
    let namespace = NAMESPACE.get_or_init(|| made().map_err(|why| format!("{why:#}")));
    let namespace = namespace.as_ref().map_err(|why| anyhow!("the namespace of captured connections: {why}"))?;
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Makes it, on a thread that nobody else is on.
fn made() -> Result<File> {
    let make = || {
        // SAFETY: the table of descriptors stays shared: only the network is another.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.context("unshare")?;
        alone::links()?;
        let folder = tempfile::Builder::new().prefix("keygress-test-rules-").tempdir()?;
        let file = folder.path().join("rules.nft");
        std::fs::write(&file, rules()?)?;
        output(bare(tools::program("nft")?).arg("--file").arg(&file))?;
        File::open("/proc/thread-self/ns/net").context("the namespace")
    };
    std::thread::spawn(make).join().map_err(|_| anyhow!("it panicked"))?
}

/// `REDIRECT`, to the port that belongs to the address.
fn rules() -> Result<String> {
    let mut pairs = String::new();
    for Place { listener, dialled } in (0..LISTENERS_MAX).map(Place::numbered) {
        write!(pairs, "{dialled} : {}, ", listener.port())?;
    }
    Ok(format!(
        "table ip captured {{
  map listeners {{ type ipv4_addr : inet_service; elements = {{ {pairs} }}; }}
  chain out {{
    type nat hook output priority -100
    meta l4proto tcp redirect to :ip daddr map @listeners
  }}
}}
"
    ))
}
