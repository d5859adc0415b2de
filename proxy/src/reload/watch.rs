//! The folders in which a change is noticed. It is only ever a hint: what counts is the content, and a slow poll.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::files;

/// Watches the folders of the policy files and of whatever these link to.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    names: BTreeSet<OsString>,
}

impl Watch {
    /// Watches nothing yet. Where the system has no notification the poll remains.
    pub(super) fn new(notice: impl FnMut(notify::Result<Event>) + Send + 'static) -> Self {
        let watcher = notify::recommended_watcher(notice);
        if let Err(error) = &watcher {
            tracing::warn!(%error, "policy files are not watched, only polled");
        }
        Self { watcher: watcher.ok(), folders: BTreeSet::new(), names: BTreeSet::new() }
    }

    /// Watches what these paths are now. A folder that was replaced is watched anew.
    pub(super) fn cover(&mut self, paths: &[PathBuf]) {
        let (folders, names) = places(paths);
        self.names = names;
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.folders.difference(&folders) {
            // It may be gone from the disk as well.
            let _ = watcher.unwatch(gone);
        }
        self.folders = folders.into_iter().filter(|folder| watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()).collect();
    }

    /// Whether an event may mean that the policy changed. Reading never does, nor does writing to another file in the same folder.
    pub(super) fn concerns(&self, event: &notify::Result<Event>) -> bool {
        let Ok(event) = event else { return true };
        let is_content = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Access(_) => return false,
            EventKind::Modify(ModifyKind::Name(_)) => false,
            EventKind::Modify(_) => true,
            EventKind::Any | EventKind::Create(_) | EventKind::Remove(_) | EventKind::Other => false,
        };
        !is_content || event.paths.iter().any(|path| self.may_be_ours(path))
    }

    fn may_be_ours(&self, path: &Path) -> bool {
        files::is_yaml(path) || path.file_name().is_some_and(|name| self.names.contains(name))
    }
}

/// The folders to watch, and the names of the files in them.
fn places(paths: &[PathBuf]) -> (BTreeSet<PathBuf>, BTreeSet<OsString>) {
    let mut folders = BTreeSet::new();
    let mut files = Vec::new();
    for path in paths {
        files.push(path.clone());
        if path.is_dir() {
            folders.insert(path.clone());
            // What cannot be listed is reported by whoever reads it.
            files.extend(files::members(path).unwrap_or_default());
        }
    }
    // What links lead to is watched as well as the links.
    files.extend(files.iter().filter_map(|file| fs::canonicalize(file).ok()).collect::<Vec<_>>());
    folders.extend(files.iter().map(|file| parent(file)));
    let names = files.iter().filter_map(|file| file.file_name()).map(OsString::from).collect();
    (folders, names)
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Whether each event up to the one about `last` concerns the policy.
    fn concerns(watch: &Watch, events: &mpsc::Receiver<notify::Result<Event>>, last: &Path) -> Vec<bool> {
        let mut seen = Vec::new();
        loop {
            let event = events.recv_timeout(Duration::from_secs(8)).expect("no event");
            let is_last = event.as_ref().is_ok_and(|event| event.paths.iter().any(|path| path == last));
            seen.push(watch.concerns(&event));
            if is_last && watch.concerns(&event) {
                return seen;
            }
        }
    }

    #[test]
    fn reading_the_policy_and_appending_to_a_file_beside_it_concern_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let [policy, log] = ["policy", "audit.jsonl"].map(|name| folder.path().join(name));
        fs::write(&policy, "a").unwrap();
        fs::write(&log, "a").unwrap();
        let (sent, events) = mpsc::channel();
        let mut watch = Watch::new(move |event| drop(sent.send(event)));
        watch.cover(std::slice::from_ref(&policy));

        fs::read(&policy).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
        std::io::Write::write_all(&mut file, b"b").unwrap();
        drop(file);
        fs::write(&policy, "b").unwrap();
        let seen = concerns(&watch, &events, &policy);
        assert_eq!(seen.iter().filter(|concerns| **concerns).count(), 1, "{seen:?}");
    }

    #[test]
    fn a_folder_that_is_replaced_is_watched_anew() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("team");
        let policy = folder.join("a.yaml");
        let fill = || {
            fs::create_dir(&folder).unwrap();
            fs::write(&policy, "a").unwrap();
        };
        fill();
        let (sent, events) = mpsc::channel();
        let mut watch = Watch::new(move |event| drop(sent.send(event)));
        watch.cover(std::slice::from_ref(&folder));
        fs::rename(&folder, outer.path().join("old")).unwrap();
        fill();
        concerns(&watch, &events, &folder);
        watch.cover(std::slice::from_ref(&folder));
        while events.try_recv().is_ok() {}
        fs::write(&policy, "b").unwrap();
        concerns(&watch, &events, &policy);
    }
}
