use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What the folder holds.
const LEDGER: &str = "ledger";
const LOCK: &str = "lock";

/// A state folder that belongs to this process until it is dropped.
pub(super) struct Folder {
    path: PathBuf,
    /// Held for its lock alone.
    _lock: File,
}

impl Folder {
    /// Takes the folder.
    ///
    /// # Errors
    /// Where it is not ours alone, or another process has it.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        private_folder(path)?;
        let refuse = |why: String| format!("the state folder `{}` {why}", path.display());
        let lock = options().open(path.join(LOCK)).map_err(|error| refuse(format!("cannot be used: {error}")))?;
        if lock.try_lock().is_err() {
            return Err(refuse("is in use by another keygress".into()));
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.path.join(LEDGER)
    }

    /// Removes it with all that is in it: there is nothing that a later process need know. Where that fails the next one tries again.
    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(%error, folder = %self.path.display(), "an empty ledger stays");
        }
    }
}

/// Makes a folder that only our user can enter, or checks one.
///
/// # Errors
/// Where it belongs to somebody else, or others may write in it.
pub fn private_folder(path: &Path) -> Result<(), String> {
    let refuse = |why: String| format!("the state folder `{}` {why}", path.display());
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| refuse(format!("cannot be made: {error}")))?;
    let metadata = fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(refuse("belongs to another user".into()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(refuse("may be written by others: its mode must be 0700".into()));
    }
    Ok(())
}

pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    options
}
