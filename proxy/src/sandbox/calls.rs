use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads, sock_filter};

use super::Measure;

/// What a proxy never asks of the kernel, and whoever broke into one would: other processes and their memory, other programs, other
/// file systems and namespaces, the kernel's own insides, the clock.
#[rustfmt::skip]
const NEVER: &[c_long] = &[
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise, libc::SYS_pidfd_getfd,
    libc::SYS_kcmp, libc::SYS_execve, libc::SYS_execveat, libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot,
    libc::SYS_move_mount, libc::SYS_open_tree, libc::SYS_fsopen, libc::SYS_fsmount, libc::SYS_fsconfig, libc::SYS_fspick,
    libc::SYS_mount_setattr, libc::SYS_setns, libc::SYS_unshare, libc::SYS_open_by_handle_at, libc::SYS_bpf,
    libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register,
    libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_kexec_load, libc::SYS_reboot, libc::SYS_swapon,
    libc::SYS_swapoff, libc::SYS_acct, libc::SYS_quotactl, libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key,
    libc::SYS_personality, libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setreuid, libc::SYS_setregid, libc::SYS_setresuid,
    libc::SYS_setresgid, libc::SYS_setgroups, libc::SYS_setfsuid, libc::SYS_setfsgid, libc::SYS_mknodat, libc::SYS_fanotify_init,
    libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_clock_adjtime, libc::SYS_adjtimex, libc::SYS_sethostname,
    libc::SYS_setdomainname, libc::SYS_syslog, libc::SYS_vhangup, libc::SYS_nfsservctl, libc::SYS_lookup_dcookie, libc::SYS_mbind,
    libc::SYS_migrate_pages, libc::SYS_move_pages, libc::SYS_set_mempolicy,
];

#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[c_long] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_mknod,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS__sysctl,
];

#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[c_long] = &[];

/// The second numbering of the system calls on x86-64, which a list of numbers would miss.
const X32: u32 = 0x4000_0000;

/// Refuses these calls (EPERM) to all threads.
pub(super) fn restrict() -> Measure {
    let enforced = filter().and_then(|filter| apply_filter_all_threads(&filter).map_err(|error| error.to_string()));
    match enforced {
        Ok(()) => {
            let count = NEVER.len() + NEVER_HERE.len();
            Measure::enforced("system calls", format!("seccomp refuses {count}: tracing, other programs, mounts, namespaces, modules, …"))
        }
        Err(error) => Measure::missing("system calls", error),
    }
}

fn filter() -> Result<BpfProgram, String> {
    let never = NEVER.iter().chain(NEVER_HERE).map(|call| (*call, Vec::new()));
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(never.collect::<BTreeMap<_, _>>(), SeccompAction::Allow, refused, arch);
    let filter: BpfProgram = filter.and_then(BpfProgram::try_from).map_err(|error| error.to_string())?;
    Ok(second_numbering().into_iter().chain(filter).collect())
}

/// Loads the number of the call (the first word of `seccomp_data`), and refuses it where it is of the second numbering. No other
/// architecture has numbers that large.
pub(crate) fn second_numbering() -> [sock_filter; 3] {
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let at_least = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    [(load, 0, 0), (at_least, 1, X32), (answer, 0, refused)].map(|(code, jf, k)| sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt: 0,
        jf: u8::try_from(jf).unwrap_or_default(),
        k,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_named_twice_and_the_filter_fits() {
        let never: Vec<_> = NEVER.iter().chain(NEVER_HERE).collect();
        let once: std::collections::BTreeSet<_> = never.iter().collect();
        assert_eq!(never.len(), once.len());
        assert!(filter().unwrap().len() < 4096);
    }
}
