use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change};

use super::Plan;

/// Where systems keep the certificates that programs trust which read no variable.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The same for Java.
const TRUST_STORES: &[&str] = &["/etc/ssl/certs/java/cacerts", "/etc/pki/ca-trust/extracted/java/cacerts"];

/// Where names are asked for.
const RESOLVER: &str = "/etc/resolv.conf";

/// Hides what is secret and puts what the command needs over what the system has. Nothing of it is seen outside.
///
/// # Errors
/// The first step that failed, in words.
pub(super) fn arrange(plan: &Plan) -> Result<(), String> {
    let here = std::env::current_dir().map_err(|error| format!("the working folder is gone: {error}"))?;
    said("the mounts cannot be parted from those outside", mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC))?;
    tmpfs(&plan.ground)?;
    let empty = plan.ground.join("empty");
    let resolver = plan.ground.join("resolv.conf");
    let written = fs::write(&empty, "").and_then(|()| fs::write(&resolver, "nameserver 127.0.0.1\n"));
    written.map_err(|error| format!("the ground cannot be written: {error}"))?;

    for folder in &plan.folders {
        pin(folder)?;
        tmpfs(folder)?;
    }
    for file in &plan.files {
        pin(file)?;
        over(&empty, file)?;
    }
    if let Some((bundle, store)) = &plan.trust {
        existing(BUNDLES).try_for_each(|path| over(bundle, &path))?;
        existing(TRUST_STORES).try_for_each(|path| over(store, &path))?;
    }
    existing(&[RESOLVER]).try_for_each(|path| over(&resolver, &path))?;
    if Path::new("/dev/shm").is_dir() {
        tmpfs(Path::new("/dev/shm"))?;
    }
    // By its name: until now this process stands in the folder below what was mounted over it.
    std::env::set_current_dir(&here).map_err(|error| format!("the working folder cannot be entered: {error}"))
}

/// The processes of this namespace alone.
///
/// # Errors
/// Where the kernel refuses, as it does in containers that cover parts of `/proc`.
pub(super) fn processes() -> Result<(), String> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    said("`/proc` cannot be mounted anew (a container that covers parts of it forbids that)", mount("proc", "/proc", "proc", flags, None))
}

/// What is there of these, where it really is, each once.
fn existing(paths: &[&str]) -> impl Iterator<Item = PathBuf> {
    let mut found: Vec<_> = paths.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    found.sort();
    found.dedup();
    found.into_iter()
}

fn tmpfs(folder: &Path) -> Result<(), String> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    said(&format!("`{}` cannot be hidden", folder.display()), mount("tmpfs", folder, "tmpfs", flags, Some(c"mode=0700,size=64m")))
}

fn over(file: &Path, place: &Path) -> Result<(), String> {
    said(&format!("nothing can be put over `{}`", place.display()), mount_bind(file, place))
}

/// Makes each folder above this one a mount of its own, where it could be renamed: a mount cannot, and so nobody puts another folder of
/// the name into its place for keygress to read.
fn pin(path: &Path) -> Result<(), String> {
    let mut above: Vec<_> = path.ancestors().skip(1).filter(|folder| folder.parent().is_some_and(is_writable)).collect();
    above.reverse();
    above.into_iter().try_for_each(|folder| said(&format!("`{}` cannot be held", folder.display()), mount_bind_recursive(folder, folder)))
}

fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

fn said(what: &str, done: rustix::io::Result<()>) -> Result<(), String> {
    done.map_err(|error| format!("{what}: {}", io::Error::from(error)))
}
