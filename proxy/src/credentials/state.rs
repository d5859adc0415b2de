use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use keygress_policy::material::Secret;
use rustix::fs::{FallocateFlags, fallocate};
use tempfile::NamedTempFile;
use tokio::sync::OwnedMutexGuard;

use super::file::words;

/// Space that is set aside before the issuer is called: more than a token takes.
const SPACE_BYTES: u64 = 64 * 1024;

/// Turns at what all holders share at an issuer, such as a refresh token: by the path of the file that keeps it.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for a turn, which ends when it is dropped.
    pub(super) async fn take(&self, path: &Path) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(path.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

/// What will replace a secret file in one step, and the sole right to do so among processes. Dropped unused, it leaves the file as it is.
pub(super) struct Successor {
    beside: NamedTempFile,
    path: PathBuf,
    _lock: File,
}

impl Successor {
    /// Takes the lock, and the space beside the file.
    ///
    /// # Errors
    /// Where the folder cannot be written, or another process is at it.
    pub(super) async fn prepare(path: &Path) -> Result<Self, String> {
        let owned = path.to_owned();
        let prepared = tokio::task::spawn_blocking(move || prepare(owned)).await.unwrap_or_else(|_| Err(stopping()));
        prepared.map_err(|fault| format!("the file `{}` cannot be replaced: {fault}", path.display()))
    }

    /// Replaces the file; the new content is on the disk when this returns.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(super) async fn replace(self, content: Secret) -> Result<(), String> {
        let path = self.path.clone();
        let replaced = tokio::task::spawn_blocking(move || self.put(&content)).await.unwrap_or_else(|_| Err(stopping()));
        replaced.map_err(|fault| format!("the file `{}` could not be replaced: {fault}", path.display()))
    }

    fn put(self, content: &Secret) -> Result<(), String> {
        let Self { mut beside, path, _lock } = self;
        beside.write_all(content.expose()).and_then(|()| beside.write_all(b"\n")).map_err(|error| fault(&error))?;
        beside.as_file().sync_all().map_err(|error| fault(&error))?;
        beside.persist(&path).map_err(|error| fault(&error.error))?;
        File::open(folder(&path)).and_then(|folder| folder.sync_all()).map_err(|error| fault(&error))
    }
}

fn prepare(path: PathBuf) -> Result<Successor, String> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".lock");
    let private = Permissions::from_mode(0o600);
    let lock = File::options().create(true).truncate(false).write(true).open(folder(&path).join(name)).map_err(|error| fault(&error))?;
    lock.set_permissions(private.clone()).map_err(|error| fault(&error))?;
    lock.try_lock().map_err(|_| "another keygress is using it".to_owned())?;
    let beside =
        tempfile::Builder::new().prefix(".keygress-").permissions(private).tempfile_in(folder(&path)).map_err(|error| fault(&error))?;
    match fallocate(beside.as_file(), FallocateFlags::KEEP_SIZE, 0, SPACE_BYTES) {
        // Not every file system can set space aside.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        Err(error) => return Err(fault(&error.into())),
    }
    Ok(Successor { beside, path, _lock: lock })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn fault(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its folder does not exist".to_owned(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "keygress must be allowed to write in its folder".to_owned(),
        kind => words(kind),
    }
}

fn stopping() -> String {
    "keygress is stopping".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn a_file_is_replaced_in_one_step_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refresh-token");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        drop(Successor::prepare(&path).await.unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        Successor::prepare(&path).await.unwrap().replace(secret("new")).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let names: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "the file and its lock: {names:?}");
    }

    #[tokio::test]
    async fn two_at_once_cannot_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refresh-token");
        let first = Successor::prepare(&path).await.unwrap();
        let fault = Successor::prepare(&path).await.err().unwrap();
        assert!(fault.ends_with("cannot be replaced: another keygress is using it"), "{fault}");
        drop(first);
        assert!(Successor::prepare(&path).await.is_ok());
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_told() {
        let fault = Successor::prepare(Path::new("/nowhere/refresh-token")).await.err().unwrap();
        assert_eq!(fault, "the file `/nowhere/refresh-token` cannot be replaced: its folder does not exist");
    }

    #[tokio::test]
    async fn turns_at_one_file_follow_each_other_and_those_at_another_do_not_wait() {
        let turns = Turns::default();
        let held = turns.take(Path::new("/a")).await;
        let _other = turns.take(Path::new("/b")).await;
        let mut next = Box::pin(turns.take(Path::new("/a")));
        assert!(std::future::Future::poll(next.as_mut(), &mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
        drop(held);
        next.await;
    }
}
