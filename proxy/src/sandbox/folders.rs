use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::Measure;

/// The newest rules that are asked for; an older kernel gives what it has.
const NEWEST: ABI = ABI::V6;

/// What the C library, TLS and the proofs of callers read of the system: names, certificates, time zones, processes.
const SYSTEM: &[&str] = &[
    "/etc",
    "/proc",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share",
    "/usr/local/share",
    "/run/systemd/resolve",
    "/run/nscd",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/dev/null",
    "/dev/urandom",
];

/// Folders that would grant everything below them, and are never granted whole.
const TOO_WIDE: &[&str] = &["/", "/home", "/root", "/var", "/run", "/usr", "/tmp", "/opt", "/srv", "/mnt"];

/// The folders that this process reads and writes, beside the system's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    reads: BTreeSet<PathBuf>,
    writes: BTreeSet<PathBuf>,
}

impl Declared {
    /// Declares what is read: a folder with all that is in it, or a file with the folder that it is in, because a file is replaced by
    /// renaming.
    pub fn read(&mut self, path: &Path) {
        self.reads.extend(places(path));
    }

    /// Declares a file or socket that is written, and so its folder.
    pub fn write(&mut self, path: &Path) {
        self.writes.extend(places(path));
    }

    /// Whether this path may be read.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        let system = SYSTEM.iter().map(Path::new);
        let declared = || self.reads.iter().chain(&self.writes).map(PathBuf::as_path).chain(system.clone());
        places(path).iter().all(|place| declared().any(|folder| place.starts_with(folder)))
    }

    /// Whether this path may be written.
    #[must_use]
    pub fn covers_write(&self, path: &Path) -> bool {
        places(path).iter().all(|place| self.writes.iter().any(|folder| place.starts_with(folder)))
    }
}

/// What must be granted for a path: where it is by its name, and where its links lead. A file at the top of a tree is granted alone.
pub(crate) fn places(path: &Path) -> BTreeSet<PathBuf> {
    let named = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = std::fs::canonicalize(&named).unwrap_or_else(|_| named.clone());
    let folder = |path: PathBuf| match path.parent() {
        Some(parent) if !path.is_dir() && !is_too_wide(parent) => parent.to_owned(),
        _ => path,
    };
    // The folder of the name is granted as it really is: rules hold for what is there, not for names.
    let named = folder(named);
    let named = std::fs::canonicalize(&named).unwrap_or(named);
    [named, folder(real)].into()
}

fn is_too_wide(folder: &Path) -> bool {
    TOO_WIDE.iter().any(|wide| folder == Path::new(wide))
}

/// Leaves the declared folders and the system's own, no new TCP listener, no signal to others and no abstract socket of others.
pub(super) fn restrict(declared: &Declared) -> Measure {
    match landlock(declared) {
        Ok(RestrictionStatus {
            landlock: LandlockStatus::Available { effective_abi, .. }, ruleset: RulesetStatus::FullyEnforced, ..
        }) => {
            let (reads, writes) = (declared.reads.len(), declared.writes.len());
            let abi = number(effective_abi);
            Measure::enforced(
                "folders",
                format!("Landlock (ABI {abi}); declared to read: {reads}, to write: {writes}; the system's are read only"),
            )
        }
        Ok(RestrictionStatus { landlock: LandlockStatus::Available { effective_abi, .. }, .. }) => {
            let abi = number(effective_abi);
            Measure::partly("folders", format!("Landlock of this kernel is ABI {abi}; from 6 on it also holds listeners and signals"))
        }
        Ok(_) => Measure::missing("folders", "this kernel has no Landlock, or it is not enabled at boot (`lsm=landlock,…`)"),
        Err(error) => Measure::missing("folders", error),
    }
}

/// The number of an ABI: its name is a `V` and the number.
fn number(abi: ABI) -> String {
    format!("{abi:?}").trim_start_matches('V').to_owned()
}

fn landlock(declared: &Declared) -> Result<RestrictionStatus, RulesetError> {
    let everything = AccessFs::from_all(NEWEST);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = everything & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let mut ruleset = Ruleset::default()
        .handle_access(everything)?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    let system = SYSTEM.iter().map(Path::new);
    let certificates = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let certificates: Vec<_> = certificates.collect();
    let reads = declared.reads.iter().chain(&certificates).map(PathBuf::as_path);
    for (path, access) in system.chain(reads).map(|path| (path, read)).chain(declared.writes.iter().map(|path| (path.as_path(), write))) {
        ruleset = allow(ruleset, path, access)?;
    }
    ruleset.restrict_self()
}

/// A path that is not there grants nothing.
fn allow(ruleset: landlock::RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<landlock::RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(ruleset) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    ruleset.add_rule(PathBeneath::new(opened, access))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_brings_its_folder_and_a_folder_itself() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        std::fs::write(real.join("key"), "x").unwrap();
        let mut declared = Declared::default();
        declared.read(&real.join("key"));
        assert_eq!(declared.reads, [real.clone()].into());
        assert!(declared.covers(&real.join("another")) && !declared.covers_write(&real.join("another")));
        assert!(!declared.covers(real.parent().unwrap()));
    }

    #[test]
    fn a_link_is_covered_where_both_its_name_and_its_end_are() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let end = elsewhere.path().join("key");
        std::fs::write(&end, "x").unwrap();
        let link = folder.path().join("key");
        std::os::unix::fs::symlink(&end, &link).unwrap();
        let mut declared = Declared::default();
        declared.read(folder.path());
        assert!(!declared.covers(&link));
        declared.read(&end);
        assert!(declared.covers(&link));
    }

    #[test]
    fn a_file_at_the_top_is_granted_alone() {
        let mut declared = Declared::default();
        declared.read(Path::new("/policy.yaml"));
        declared.write(Path::new("/tmp/audit.jsonl"));
        assert!(!declared.covers(Path::new("/other.yaml")) && !declared.covers_write(Path::new("/tmp/other")));
        assert!(declared.covers(Path::new("/policy.yaml")) && declared.covers(Path::new("/etc/hosts")));
    }
}
