use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::Measure;

/// Capabilities that an operator may leave to keygress, by putting them into its ambient set (`AmbientCapabilities=` of systemd).
const MAY_STAY: [CapabilitySet; 3] = [CapabilitySet::NET_ADMIN, CapabilitySet::NET_RAW, CapabilitySet::NET_BIND_SERVICE];

/// Nobody of the same user may trace this process, read its memory or find its environment in `/proc`.
pub fn undumpable() -> Measure {
    match set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        Ok(()) => Measure::enforced("undumpable", "no debugger, no /proc/PID/mem, no /proc/PID/environ for the same user"),
        Err(error) => Measure::missing("undumpable", error),
    }
}

/// No core file, whatever happens.
pub(super) fn no_core() -> Measure {
    match setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        Ok(()) => Measure::enforced("no core", "a crash leaves no core file"),
        Err(error) => Measure::missing("no core", error),
    }
}

/// Nothing that is started from here gains privileges.
pub(crate) fn no_new_privileges() -> Measure {
    match rustix::thread::set_no_new_privs(true) {
        Ok(()) => Measure::enforced("no new privileges", "a set-uid program gives none"),
        Err(error) => Measure::missing("no new privileges", error),
    }
}

/// Gives up every capability, root's too, but those that were put into the ambient set for keygress.
pub(crate) fn no_capabilities() -> Measure {
    let left = MAY_STAY.into_iter().filter(|one| rustix::thread::capability_is_in_ambient_set(*one).unwrap_or(false));
    let left = left.fold(CapabilitySet::empty(), CapabilitySet::union);
    // Without CAP_SETPCAP the bounding set stays; with no new privileges nothing can be taken from it.
    for bit in 0..u64::BITS {
        let _ = rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit));
    }
    match rustix::thread::set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable: left }) {
        Ok(()) if left.is_empty() => Measure::enforced("no capabilities", "none is left"),
        Ok(()) => Measure::enforced("no capabilities", "none is left but those of the network that were given (ambient)"),
        Err(error) => Measure::missing("no capabilities", error),
    }
}
