use std::path::Path;
use std::sync::Mutex;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

/// One file watcher for all slots: it tells that something changed in a watched folder, and each slot looks at its own files.
///
/// Where the system has no watcher left, nothing is told and the slow poll of the slots still finds every change.
pub(super) struct Changes {
    watcher: Mutex<Option<RecommendedWatcher>>,
    counter: watch::Sender<u64>,
}

impl Changes {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        Self { watcher: Mutex::new(None), counter: watch::Sender::new(0) }
    }

    /// Counts what is told from now on.
    pub(super) fn told(&self) -> watch::Receiver<u64> {
        self.counter.subscribe()
    }

    /// Follows the folder of this file, whose entry is what changes when a file or a symlink is replaced. Asking again is harmless,
    /// and needed when the folder itself was replaced.
    pub(super) fn follow(&self, file: &Path) {
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut watcher = self.watcher.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if watcher.is_none() {
            *watcher = self.start();
        }
        if let Some(Err(error)) = watcher.as_mut().map(|watcher| watcher.watch(folder, RecursiveMode::NonRecursive)) {
            tracing::debug!(%error, folder = %folder.display(), "the folder cannot be watched, it is polled");
        }
    }

    fn start(&self) -> Option<RecommendedWatcher> {
        let counter = self.counter.clone();
        let told = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| tells_a_change(event.kind)) {
                counter.send_modify(|count| *count = count.wrapping_add(1));
            }
        };
        notify::recommended_watcher(told).inspect_err(|error| tracing::warn!(%error, "files cannot be watched, they are polled")).ok()
    }
}

/// Our own reading is an event too: only what writes counts.
fn tells_a_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_put_in_place_of_another_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "a").unwrap();
        let changes = Changes::new();
        let mut told = changes.told();
        changes.follow(&file);
        std::fs::write(folder.path().join("new"), "b").unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
        told.changed().await.unwrap();
    }

    #[test]
    fn reading_is_no_change() {
        assert!(!tells_a_change(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(tells_a_change(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(tells_a_change(EventKind::Modify(notify::event::ModifyKind::Any)));
    }
}
