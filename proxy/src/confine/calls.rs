use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter_all_threads,
};

use crate::sandbox::second_numbering;

/// What leads past the namespaces, or past this filter: keyrings that are shared with the user's other processes, sockets without
/// `socket(2)`, the kernel's insides.
const NEVER: &[c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
];

/// Requests that type on the terminal in place of its user, who is not confined.
const TYPING: [i64; 2] = [0x5412, 0x541c];

/// The families of sockets that are of the network namespace. All others lead out of it: Unix sockets by their path, `AF_VSOCK` to the
/// machine below, and what else there is.
const FAMILIES: [i32; 3] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Refuses this to the command for good. Pairs of Unix sockets (`socketpair(2)`) lead nowhere else, and stay.
///
/// # Errors
/// Where the kernel has no seccomp.
pub(super) fn restrict(unsafe_unix_sockets: bool) -> Result<(), String> {
    let program = filter(unsafe_unix_sockets).map_err(|error| error.to_string())?;
    apply_filter_all_threads(&program).map_err(|error| format!("no filter of system calls: {error}"))
}

fn filter(unsafe_unix_sockets: bool) -> Result<BpfProgram, seccompiler::BackendError> {
    let families = FAMILIES.iter().copied().chain(unsafe_unix_sockets.then_some(libc::AF_UNIX));
    let others = families.map(|family| condition(0, SeccompCmpOp::Ne, u64::from(family.unsigned_abs())));
    let others = SeccompRule::new(others.collect::<Result<_, _>>()?)?;
    let typing = TYPING.iter().map(|request| SeccompRule::new(vec![condition(1, SeccompCmpOp::Eq, request.unsigned_abs())?]));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_socket, vec![others]);
    rules.insert(libc::SYS_ioctl, typing.collect::<Result<_, _>>()?);
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, TargetArch::try_from(std::env::consts::ARCH)?)?;
    let filter = BpfProgram::try_from(filter)?;
    Ok(second_numbering().into_iter().chain(filter).collect())
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}
