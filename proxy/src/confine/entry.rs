use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Signal, getegid, geteuid};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags, configure_capability_in_ambient_set, set_capabilities, unshare_unsafe};
use tokio::signal::unix::{SignalKind, signal};

use super::{Control, Step, Told, network, remedy};

/// What the next step needs: to mount, and to give up what it has.
const KEPT: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::SETPCAP);

/// What is sent to the whole terminal, and is the command's to answer; see [`swallow`].
const SWALLOWED: [SignalKind; 4] = [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate(), SignalKind::hangup()];

/// Makes the namespaces, opens the listeners in them, hands these over, and waits for the first process inside.
pub(super) fn run(mut control: Control, socket: &Path, command: &[OsString]) -> anyhow::Result<ExitCode> {
    // With the run the command ends too.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Err(why) = enter().and_then(|()| listen(&mut control)) {
        control.tell(&Told::Failed(why))?;
        return Ok(ExitCode::FAILURE);
    }
    drop(control);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    let _swallowed = swallow()?;
    // It is the first process of the new namespace: with it all others there end.
    let mut inside = Command::new("/proc/self/exe");
    inside.arg0("keygress").args(["confined", Step::Inside.as_str()]).arg(socket).arg("--").args(command);
    let status = inside.status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Takes signals that a terminal sends to all of us, and does nothing: the run outside passes them on, and one that is ignored stays so.
fn swallow() -> io::Result<Vec<tokio::signal::unix::Signal>> {
    let ignored = super::ignored();
    SWALLOWED.into_iter().filter(|kind| !ignored(*kind)).map(signal).collect()
}

fn enter() -> Result<(), String> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC;
    // SAFETY: none of these flags parts this process from its open files, which is what makes the call unsafe.
    unsafe { unshare_unsafe(flags) }.map_err(remedy::of_namespaces)?;
    let map = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text).map_err(|error| format!("/proc/self/{file} cannot be written: {error}"))
    };
    map("setgroups", "deny".to_owned())?;
    map("uid_map", format!("{uid} {uid} 1"))?;
    map("gid_map", format!("{gid} {gid} 1"))?;
    keep_capabilities().map_err(remedy::of_namespaces)
}

/// Leaves the next program what it needs in this namespace: a user who is not root would have nothing after execve(2).
fn keep_capabilities() -> rustix::io::Result<()> {
    let all = rustix::thread::capabilities(None)?;
    set_capabilities(None, CapabilitySets { inheritable: KEPT, ..all })?;
    configure_capability_in_ambient_set(CapabilitySet::SYS_ADMIN, true)?;
    configure_capability_in_ambient_set(CapabilitySet::SETPCAP, true)
}

fn listen(control: &mut Control) -> Result<(), String> {
    network::up().map_err(|error| format!("the network inside cannot be set up: {error}"))?;
    let listeners = network::listen(&control.plan).map_err(|error| format!("the listeners inside cannot be opened: {error}"))?;
    network::hand_over(&control.stream, &listeners).map_err(|error| format!("the listeners cannot be handed over: {error}"))
}
