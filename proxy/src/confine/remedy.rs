use std::path::Path;

use rustix::io::Errno;

/// Why this kernel makes no namespaces for us, and what would change that.
pub(super) fn of_namespaces(error: Errno) -> String {
    let reads = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let remedy = if !Path::new("/proc/self/ns/user").exists() {
        "this kernel has no user namespaces (CONFIG_USER_NS)"
    } else if reads("/proc/sys/user/max_user_namespaces", "0") {
        "user namespaces are switched off: `sysctl user.max_user_namespaces=10000`"
    } else if reads("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "user namespaces are root's alone: `sysctl kernel.unprivileged_userns_clone=1`"
    } else if reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor holds user namespaces back: give the binary a profile with `userns,`, or `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    } else if error == Errno::NOSPC || error == Errno::USERS {
        "there are too many user namespaces, or they are nested too deeply: see `sysctl user`"
    } else {
        "a container's seccomp profile or security module refuses: allow `unshare`, `mount` and `clone` with new namespaces there"
    };
    format!("no namespaces of its own: {error}; {remedy}")
}
