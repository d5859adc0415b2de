//! The programs: found, pinned to a core, started, waited for.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::child::spawn_on;
use crate::meter;

/// How long a program may take until it accepts connections.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a free port is looked for: another process may take it between our look and the bind.
const ATTEMPTS: usize = 3;

/// The names of the programs whose name is not that of the contender.
const PROGRAMS: [(&str, &str); 2] = [("mitmproxy", "mitmdump"), ("floor", "keygress-bench-floor")];

/// The program of a contender: beside this one, on the path, or where Debian has those of the administrator.
///
/// # Errors
/// A line that names it.
pub(super) fn of(contender: &str) -> anyhow::Result<PathBuf> {
    let name = PROGRAMS.iter().find(|(of, _)| *of == contender).map_or(contender, |(_, name)| *name);
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_path_buf()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = beside.into_iter().chain(std::env::split_paths(&path)).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file()).with_context(|| format!("`{name}` is not installed"))
}

/// The first line with a digit that a program says of its version.
pub(super) fn version(contender: &str, flag: &str) -> String {
    let Ok(program) = of(contender) else { return String::new() };
    let Ok(said) = Command::new(program).arg(flag).stdin(Stdio::null()).output() else { return String::new() };
    let said = [said.stdout, said.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.split_whitespace().find_map(number).unwrap_or_default()
}

/// The version in a word such as `nginx/1.22.1` or `9e55/1.40.0/Clean`.
fn number(word: &str) -> Option<String> {
    let is_version = |part: &&str| part.starts_with(|first: char| first.is_ascii_digit()) && part.contains('.');
    word.split('/').find(is_version).map(|part| part.split('-').next().unwrap_or(part).to_owned())
}

/// Starts a program that listens where it is told, on a loopback port that was free a moment ago; its errors go to a file in `folder`.
///
/// # Errors
/// Where it does not come up, with the end of what it said.
pub(super) fn listening(
    folder: &Path,
    core: Option<usize>,
    command: impl Fn(SocketAddr) -> anyhow::Result<Command>,
) -> anyhow::Result<(SocketAddr, Child)> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let mut command = command(address)?;
        let log = folder.join("said.txt");
        command.stdin(Stdio::null()).stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let mut child = spawn_on(core, &mut command)?;
        match accepts(&mut child, address) {
            Ok(()) => return Ok((address, child)),
            Err(why) => {
                end(&mut child);
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let tail: Vec<&str> = said.lines().rev().take(10).collect();
                last = Some(why.context(tail.into_iter().rev().collect::<Vec<_>>().join("\n")));
            }
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("never tried")))
}

/// Waits until it accepts a connection.
fn accepts(child: &mut Child, address: SocketAddr) -> anyhow::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        // On a free port of the ephemeral range the kernel may connect a socket to itself: that is nobody who accepts.
        if TcpStream::connect(address).is_ok_and(|stream| stream.local_addr().is_ok_and(|local| local != address)) {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status}");
        }
        // Nothing tells us when another process listens.
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("it accepts no connection after {} s", PATIENCE.as_secs())
}

/// How many files a process of ours may open.
pub(super) fn files_max() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.unwrap_or(65_536).min(65_536)
}

/// Ends a process that we started, and all that came of it.
pub(super) fn end(child: &mut Child) {
    // Workers of a killed master would live on.
    let tree = meter::tree(child.id());
    for pid in tree.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        // Who ended by itself is nobody to kill.
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity};

    use super::*;

    #[test]
    fn versions_are_read_out_of_words() {
        assert_eq!(number("nginx/1.22.1").unwrap(), "1.22.1");
        assert_eq!(number("2.6.12-1+deb12u4").unwrap(), "2.6.12");
        assert_eq!(number("9e5580/1.40.0/Clean/RELEASE/BoringSSL").unwrap(), "1.40.0");
        assert_eq!(number("version").as_deref(), None);
    }

    #[test]
    fn a_child_runs_where_it_was_told() {
        let core = (0..CpuSet::MAX_CPU).find(|core| sched_getaffinity(None).unwrap().is_set(*core)).unwrap();
        let mut child = spawn_on(Some(core), Command::new("cat").stdin(Stdio::piped())).unwrap();
        let cores = sched_getaffinity(Some(Pid::from_child(&child))).unwrap();
        end(&mut child);
        assert!(cores.is_set(core));
        assert_eq!(cores.count(), 1);
    }

    #[test]
    fn what_a_process_started_ends_with_it() {
        // Of its own accord a shell gives what runs in the background nothing to read, and it would end at once.
        let mut child = Command::new("sh")
            .args(["-c", "exec 3<&0; cat <&3 & echo; wait"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let tree = meter::tree(child.id());
        assert_eq!(tree.len(), 2);
        end(&mut child);
        // The grandchild is not ours to wait for: dead, or dying.
        let state = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        while tree.iter().any(|pid| state(*pid).is_some_and(|stat| !stat.contains(") Z"))) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_does_not_come_up_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let error = listening(folder.path(), None, |_| {
            let mut command = Command::new("sh");
            command.args(["-c", "echo no such luck >&2; exit 3"]);
            Ok(command)
        });
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains("no such luck") && error.contains("exit status: 3"), "{error}");
    }
}
