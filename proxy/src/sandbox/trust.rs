use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

/// How many links are followed.
const LINKS_MAX: usize = 40;

/// Who else could change what is at this path: by writing it, or by putting another in its place. `None` where only root, keygress'
/// own user and, for a file of a private group, its owner can; a path that is not there is nobody's.
#[must_use]
pub fn complaint(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut links = 0;
    walk(&path, &mut links)
}

/// Looks at each part of the path, from the root on; where one is a link, at each part of where it leads.
fn walk(path: &Path, links: &mut usize) -> Option<String> {
    let mut reached = PathBuf::from("/");
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        match part {
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => drop(reached.pop()),
            Component::Normal(name) => reached.push(name),
        }
        let metadata = std::fs::symlink_metadata(&reached).ok()?;
        if metadata.is_symlink() {
            *links += 1;
            if *links > LINKS_MAX {
                return Some(format!("`{}` is a link in a circle", reached.display()));
            }
            if let Some(fault) = fault_of_owner(&reached, &metadata) {
                return Some(fault);
            }
            let folder = reached.parent().unwrap_or(Path::new("/"));
            let rest: PathBuf = parts.collect();
            return walk(&folder.join(std::fs::read_link(&reached).ok()?).join(rest), links);
        }
        let is_last = parts.peek().is_none();
        if let Some(fault) = fault(&reached, &metadata, is_last) {
            return Some(fault);
        }
    }
    None
}

fn fault(path: &Path, metadata: &Metadata, is_last: bool) -> Option<String> {
    if let Some(fault) = fault_of_owner(path, metadata) {
        return Some(fault);
    }
    let is_private_group = metadata.gid() == metadata.uid() || metadata.gid() == 0;
    let writers = if is_private_group { 0o002 } else { 0o022 };
    if metadata.mode() & writers == 0 {
        return None;
    }
    // In a sticky folder nobody moves what belongs to root or to us; but in the folder itself anybody makes files.
    let is_sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
    if is_sticky && !is_last {
        return None;
    }
    // Nobody writes to a read-only mount, such as that of a ConfigMap or Secret.
    if statvfs(path).is_ok_and(|volume| volume.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        return None;
    }
    let who = if metadata.mode() & 0o002 != 0 { "everybody" } else { "its group" };
    Some(format!("`{}` may be written by {who}: `chmod go-w {}`", path.display(), path.display()))
}

fn fault_of_owner(path: &Path, metadata: &Metadata) -> Option<String> {
    let owner = metadata.uid();
    let is_trusted = owner == 0 || owner == rustix::process::geteuid().as_raw();
    (!is_trusted).then(|| format!("`{}` belongs to user {owner}, who is neither root nor keygress: change its owner", path.display()))
}
