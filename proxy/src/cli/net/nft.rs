use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, anyhow, bail};

/// The capability to change rules (capability.h), as a bit of `CapEff`.
const CAP_NET_ADMIN: u32 = 12;

/// Where the program is on systems whose users have no `sbin` in their path.
const BESIDE_PATH: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// A table as nftables lists it; `None` where there is none.
///
/// # Errors
/// As [`load`].
pub(super) fn table(name: &str) -> anyhow::Result<Option<String>> {
    let listing = run(&["--stateless", "list", "ruleset"], "")?;
    let opening = format!("table {name} {{");
    let from = listing
        .match_indices(&opening)
        .map(|(at, _)| at)
        .find(|at| *at == 0 || listing.get(..*at).is_some_and(|before| before.ends_with('\n')));
    Ok(from.and_then(|at| listing.get(at..)).map(|rest| rest.split_inclusive("\n}\n").next().unwrap_or(rest).to_owned()))
}

/// Loads a script: all of it, or nothing.
///
/// # Errors
/// Where `nft` is missing or refuses, or we may not change rules; each with the remedy.
pub(super) fn load(script: &str) -> anyhow::Result<()> {
    run(&["--file", "-"], script).map(drop)
}

fn run(arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !may_change_rules(&status) {
        bail!(
            "rules are for those who have CAP_NET_ADMIN here\n\
             help: run it as root, or in the init container of a pod; `keygress net print` shows the rules without any privilege"
        );
    }
    let program = found().ok_or_else(|| {
        anyhow!("there is no `nft` here\nhelp: install the package nftables; `keygress net print` shows the rules for use elsewhere")
    })?;
    let mut child = Command::new(&program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", program.display()))?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        bail!("nft refused: {}\nhelp: the kernel needs nf_tables with nat and inet; `keygress net print` shows the rules", said.trim());
    }
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(String::from_utf8_lossy(&stdout).into_owned()),
    }
}

fn found() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(BESIDE_PATH.map(PathBuf::from));
    folders.map(|folder| folder.join("nft")).find(|program| Path::is_file(program))
}

/// Whether the effective capabilities in a `/proc/PID/status` hold CAP_NET_ADMIN.
fn may_change_rules(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> CAP_NET_ADMIN & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_change_rules() {
        assert!(may_change_rules("Name:\tkeygress\nCapEff:\t000001fffeffffff\n"));
        assert!(may_change_rules("CapEff:\t0000000000001000\n"));
        assert!(!may_change_rules("CapEff:\t0000000000000400\n"));
        assert!(!may_change_rules(""));
    }
}
