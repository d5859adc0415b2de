use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::content::{Collected, Origin};

/// What a walk passes over.
#[derive(Default)]
pub(super) struct Passed {
    pub(super) links: u64,
    pub(super) sources: u64,
}

/// Searches a file, or every file below a folder. A link is followed only where it is `path` itself. `.gitignore` is not heeded: what it
/// names, such as `.env`, is where keys lie. Of `.git` itself the packed objects are passed over.
pub(super) fn walk(path: &Path, sources: &[PathBuf], collected: &mut Collected, passed: &mut Passed) {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return collected.told(&path.display().to_string(), error.to_string()),
    };
    if !metadata.is_dir() {
        return file(path, sources, collected, passed, 0);
    }
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries = match fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                collected.told(&folder.display().to_string(), error.to_string());
                continue;
            }
        };
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
        let mut files = Vec::new();
        for entry in entries {
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() => passed.links += 1,
                Ok(kind) if kind.is_dir() && is_object_store(&entry.path()) => {}
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                // Devices, sockets and pipes hold no text.
                Ok(_) => {}
                Err(error) => collected.told(&entry.path().display().to_string(), error.to_string()),
            }
        }
        for path in files.iter().rev() {
            file(path, sources, collected, passed, libc::O_NOFOLLOW);
        }
    }
}

/// Commits lie there compressed: a scan of the history is another tool's, and its report can be imported.
fn is_object_store(path: &Path) -> bool {
    path.file_name() == Some(OsStr::new("objects"))
        && path.parent().is_some_and(|git| git.join("HEAD").is_file() && git.join("refs").is_dir())
}

fn file(path: &Path, sources: &[PathBuf], collected: &mut Collected, passed: &mut Passed, flags: i32) {
    if !sources.is_empty() && fs::canonicalize(path).is_ok_and(|path| sources.contains(&path)) {
        passed.sources += 1;
        return;
    }
    let name = path.display().to_string();
    match open(path, flags) {
        Ok(Some((mut content, changed))) => collected.file(&Origin { file: name, changed }, &mut content),
        Ok(None) => {}
        Err(error) => collected.told(&name, error.to_string()),
    }
}

/// Opens a regular file; what is none is `None`. A pipe that took the file's place is not waited for.
fn open(path: &Path, flags: i32) -> io::Result<Option<(File, Option<i64>)>> {
    let file = OpenOptions::new().read(true).custom_flags(flags | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    let metadata = file.metadata()?;
    let changed = metadata.modified().ok().and_then(milliseconds);
    Ok(metadata.is_file().then_some((file, changed)))
}

fn milliseconds(time: SystemTime) -> Option<i64> {
    Timestamp::try_from(time).ok().map(Timestamp::as_millisecond)
}
