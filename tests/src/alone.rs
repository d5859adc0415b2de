//! A test in a network and mount namespace of its own: what it changes there nobody else sees, and it goes with the test.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::client::{bare, output};
use crate::tools;

/// Set inside, to the name of the test.
const INSIDE: &str = "KEYGRESS_TEST_ALONE";

/// The address of this machine inside; it is not loopback.
pub const ADDRESS: &str = "198.51.100.2";

/// Where names lead inside. Nobody is there: what is not captured goes nowhere.
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n192.0.2.10 echo.test\n2001:db8::10 six.test\n192.0.2.11 other.test\n";

/// Runs the body of the test `module::name` alone: the test binary runs itself again inside, with this test only. Root needs nothing for
/// it; anybody else gets a user namespace too.
///
/// # Errors
/// Where the namespace cannot be made, or the test fails in it; with all that it printed.
pub fn alone(test: &str, body: impl FnOnce()) -> Result<()> {
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == test) {
        prepare()?;
        body();
        return Ok(());
    }
    for program in ["ip", "nft", "curl", "mount"] {
        tools::program(program)?;
    }
    let mut command = Command::new(tools::program("unshare")?);
    command.args(["--net", "--mount"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg(std::env::current_exe()?).args(["--exact", test, "--nocapture", "--test-threads=1"]).env(INSIDE, test);
    let done = command.output().context("unshare")?;
    let printed = [done.stdout, done.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    // A name that is misspelt would run nothing.
    ensure!(done.status.success() && printed.contains("1 passed"), "{test} alone: {}\n{printed}", done.status);
    Ok(())
}

/// Whether there are users here beside the one that we are.
#[must_use]
pub fn has_other_users() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().last() != Some("1"))
}

/// Links, and names.
fn prepare() -> Result<()> {
    links()?;
    let folder = tempfile::Builder::new().prefix("keygress-test-hosts-").tempdir()?;
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, HOSTS)?;
    mount(&hosts, Path::new("/etc/hosts"))
}

/// Loopback, and a link that leads nowhere with a default route over it: what a fresh network namespace needs to dial anybody.
pub(crate) fn links() -> Result<()> {
    let ip = tools::program("ip")?;
    for line in [
        "link set lo up",
        "link add out type veth peer name far",
        "addr add 198.51.100.2/24 dev out",
        "addr add 2001:db8:1::2/64 dev out nodad",
        "link set far up",
        "link set out up",
        "route add default via 198.51.100.1 dev out",
        "-6 route add default via 2001:db8:1::1 dev out",
    ] {
        output(bare(&ip).args(line.split(' ')))?;
    }
    Ok(())
}

/// Binds a file over another one.
fn mount(file: &Path, over: &Path) -> Result<()> {
    output(bare(tools::program("mount")?).arg("--bind").arg(file).arg(over)).map(drop)
}
