use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use arc_swap::ArcSwap;

/// The most of a password database that is read: 4 MiB.
const DATABASE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Names of users, from `/etc/passwd` alone: calling the C library for a name loads whatever plugins the machine has, and blocks. Users
/// from elsewhere (LDAP, systemd-homed) are known by their number.
pub(super) struct Users {
    path: PathBuf,
    read: ArcSwap<Database>,
}

#[derive(Default)]
struct Database {
    version: Option<Version>,
    names: HashMap<u32, String>,
}

/// What tells one content of a file from the next.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Users {
    /// The users of this machine.
    pub(super) fn system() -> Self {
        Self::of("/etc/passwd".into())
    }

    fn of(path: PathBuf) -> Self {
        Self { path, read: ArcSwap::default() }
    }

    /// The name of a user; the first entry counts where several have the number. Reads the file again when it has changed.
    pub(super) fn name(&self, uid: u32) -> Option<String> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        let version =
            Version { inode: metadata.ino(), bytes: metadata.len(), seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() };
        if self.read.load().version != Some(version) {
            let mut text = String::new();
            File::open(&self.path).ok()?.take(DATABASE_BYTES_MAX).read_to_string(&mut text).ok()?;
            self.read.store(Database { version: Some(version), names: parse(&text) }.into());
        }
        self.read.load().names.get(&uid).cloned()
    }
}

/// Lines of `name:password:uid:…`, passwd(5).
fn parse(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next())
            && !name.is_empty()
            && let Ok(uid) = uid.parse()
        {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_here() {
        assert_eq!(Users::system().name(0).as_deref(), Some("root"));
    }

    #[test]
    fn lines_that_are_no_users_are_passed_over() {
        let names = parse("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:\n# comment\n:x:7:\nci:x:1001:1001::/:\nbad:x:one:\n+::::\n");
        assert_eq!(names, HashMap::from([(0, "root".to_owned()), (1001, "ci".to_owned())]));
    }

    #[test]
    fn a_change_of_the_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwd");
        std::fs::write(&path, "ci:x:1001:1001::/:\n").unwrap();
        let users = Users::of(path.clone());
        assert_eq!(users.name(1001).as_deref(), Some("ci"));
        std::fs::write(&path, "builder:x:1001:1001::/:\n").unwrap();
        assert_eq!(users.name(1001).as_deref(), Some("builder"));
        std::fs::remove_file(path).unwrap();
        assert_eq!(users.name(1001), None);
    }
}
