use std::ffi::OsString;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode};

use landlock::{
    ABI, Access, AccessFs, LandlockStatus, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    Scope,
};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use rustix::thread::{CapabilitySet, capability_is_in_bounding_set, clear_ambient_capability_set};

use super::{Control, Told, calls, mounts};
use crate::sandbox::{self, State};

/// The newest rules that are asked for; an older kernel gives what it has.
const NEWEST: ABI = ABI::V6;

/// The exit code where the run is gone, or something of ours failed: as `run` has it.
const FAILED: i32 = 125;

/// The first process inside: arranges what the command sees, gives up its privileges, starts it, passes signals on, and ends with it. Then
/// the kernel ends whatever is left inside.
pub(super) fn run(mut control: Control, command: &[OsString]) -> anyhow::Result<ExitCode> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Err(why) = restrict(&mut control) {
        control.tell(&Told::Failed(why))?;
        return Ok(ExitCode::FAILURE);
    }
    let (program, arguments) = command.split_first().ok_or_else(|| anyhow::anyhow!("no command"))?;
    let child = match Command::new(program).args(arguments).spawn() {
        Ok(child) => child,
        Err(error) => {
            control.tell(&Told::NotStarted(error.raw_os_error().unwrap_or(libc::ENOENT)))?;
            return Ok(ExitCode::FAILURE);
        }
    };
    control.tell(&Told::Started)?;
    let pid = pid(&child);
    let stream = control.stream;
    std::thread::spawn(move || pass(stream, pid));
    Ok(ExitCode::from(until_ended(pid)))
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn restrict(control: &mut Control) -> Result<(), String> {
    // Where it fails what is secret would be seen: there is no going on without.
    mounts::arrange(&control.plan)?;
    let processes = mounts::processes();
    let unix_sockets = control.plan.unsafe_unix_sockets;
    for done in [processes, no_capabilities(), landlock(), calls::restrict(unix_sockets)] {
        if let Err(why) = done {
            control.miss(why)?;
        }
    }
    Ok(())
}

/// None is left, none comes back.
fn no_capabilities() -> Result<(), String> {
    clear_ambient_capability_set().map_err(|error| format!("capabilities stay: {error}"))?;
    let measures = [sandbox::no_capabilities(), sandbox::no_new_privileges()];
    if let Some(measure) = measures.iter().find(|measure| measure.state != State::Enforced) {
        return Err(format!("{}: {}", measure.name, measure.detail));
    }
    match capability_is_in_bounding_set(CapabilitySet::SYS_ADMIN) {
        Ok(false) => Ok(()),
        Ok(true) => Err("the bounding set of capabilities stays".to_owned()),
        Err(error) => Err(format!("the bounding set of capabilities is not known: {error}")),
    }
}

/// All files as before, but no mount and no unmounting; no signal to others and no abstract socket of others.
fn landlock() -> Result<(), String> {
    let root = PathFd::new("/").map_err(|error| format!("no Landlock: {error}"))?;
    let restricted = restricted(root).map_err(|error| format!("no Landlock: {error}"))?;
    match restricted.landlock {
        LandlockStatus::Available { .. } => Ok(()),
        _ => Err("this kernel has no Landlock, or it is not enabled at boot (`lsm=landlock,…`)".to_owned()),
    }
}

fn restricted(root: PathFd) -> Result<RestrictionStatus, RulesetError> {
    let everything = AccessFs::from_all(NEWEST);
    let ruleset = Ruleset::default().handle_access(everything)?.scope(Scope::AbstractUnixSocket | Scope::Signal)?.create()?;
    ruleset.add_rule(PathBeneath::new(root, everything))?.restrict_self()
}

/// Passes on the signals whose numbers come from the run; where that has ended, the command ends.
fn pass(mut stream: UnixStream, pid: Option<Pid>) {
    let mut number = [0];
    while stream.read_exact(&mut number).is_ok() {
        if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(i32::from(number[0]))) {
            // It may have ended a moment ago: then there is nobody to tell.
            let _ = kill_process(pid, signal);
        }
    }
    std::process::exit(FAILED)
}

/// Waits for whatever ends inside, as the first process must, until the command has.
fn until_ended(command: Option<Pid>) -> u8 {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == command => return code(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return u8::try_from(FAILED).unwrap_or(1),
        }
    }
}

/// As a shell has it.
fn code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
