use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::folder::private_folder;
use super::{Key, Place};

/// The file that holds the key, encrypted under the key of the folder.
const KEY: &str = "fingerprint-key";

/// For what the key is encrypted.
const PURPOSE: &str = "fingerprint key";

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// The longest file of a key, in bytes.
const BYTES_MAX: u64 = 4096;

/// The key under which secrets have their fingerprints: made by the first process with the folder, the same for all that share it.
///
/// # Errors
/// Where the folder or the file is not ours alone, or the key was written under another one.
pub fn fingerprint_key(place: &Place) -> Result<Zeroizing<[u8; KEY_BYTES]>, String> {
    private_folder(&place.folder)?;
    let sealing = Key::read(&place.key)?;
    let path = place.folder.join(KEY);
    if !path.try_exists().map_err(|error| refuse(&path, &format!("cannot be read: {error}")))? {
        make(&place.folder, &path, &sealing).map_err(|error| refuse(&path, &format!("cannot be made: {error}")))?;
    }
    read(&path, &sealing)
}

/// Writes a key that only we can read. Where another process is quicker its key stays.
fn make(folder: &Path, path: &Path, sealing: &Key) -> io::Result<()> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(&mut *key).map_err(|_| io::Error::other("no random bytes"))?;
    // A file that tempfile makes has mode 0600, and no name of it is ever that of the key before it is whole.
    let mut file = tempfile::Builder::new().prefix(KEY).tempfile_in(folder)?;
    file.write_all(sealing.seal(PURPOSE, &*key)?.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        Ok(_) | Err(_) => File::open(folder)?.sync_all(),
    }
}

fn read(path: &Path, sealing: &Key) -> Result<Zeroizing<[u8; KEY_BYTES]>, String> {
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let metadata = open.and_then(|file| file.metadata().map(|metadata| (file, metadata)));
    let (file, metadata) = metadata.map_err(|error| refuse(path, &format!("cannot be read: {error}")))?;
    if !metadata.is_file() || metadata.len() > BYTES_MAX {
        return Err(refuse(path, "is not a file of a key"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(refuse(path, "belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(refuse(path, &format!("is one that others may read or write: `chmod 0600 {}`", path.display())));
    }
    let mut sealed = String::new();
    file.take(BYTES_MAX).read_to_string(&mut sealed).map_err(|error| refuse(path, &format!("cannot be read: {error}")))?;
    let plain = sealing.unseal(PURPOSE, &sealed);
    let key = plain.and_then(|plain| Some(Zeroizing::new(<[u8; KEY_BYTES]>::try_from(plain.as_slice()).ok()?)));
    key.ok_or_else(|| refuse(path, "was not written under the key of the state folder: move it away, and fingerprints begin anew"))
}

fn refuse(path: &Path, why: &str) -> String {
    format!("the fingerprint key `{}` {why}", path.display())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn place(folder: &Path) -> Place {
        let place = Place { folder: folder.join("state"), key: folder.join("key"), run: None };
        write(&place.key, &[7; 32], 0o600);
        place
    }

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn processes_that_start_together_get_one_key_that_lies_encrypted() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..8).map(|_| scope.spawn(|| fingerprint_key(&place).unwrap())).collect();
            starting.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]) && *keys[0] != [0; KEY_BYTES]);
        let path = place.folder.join(KEY);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&place.folder).unwrap().count(), 1, "nothing but the key");
        let kept = fs::read(&path).unwrap();
        assert!(!kept.windows(8).any(|window| keys[0].windows(8).any(|secret| secret == window)));
        assert_ne!(fingerprint_key(&Place { folder: folder.path().join("other"), ..place }).unwrap(), keys[0]);
    }

    #[test]
    fn a_key_that_others_could_read_or_replace_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        fingerprint_key(&place).unwrap();
        let path = place.folder.join(KEY);
        let kept = fs::read(&path).unwrap();
        let why = || fingerprint_key(&place).unwrap_err();
        for mode in [0o640, 0o604, 0o620, 0o602] {
            write(&path, &kept, mode);
            assert!(why().contains("others may read or write"), "{mode:o}: {}", why());
        }
        write(&path, b"", 0o600);
        assert!(why().contains("was not written under the key"), "a torn key is no key: {}", why());
        write(&path, &kept, 0o600);
        assert!(fingerprint_key(&place).is_ok());
        write(&place.key, &[8; 32], 0o600);
        assert!(why().contains("was not written under the key"), "{}", why());
        write(&place.key, &[7; 32], 0o600);
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert!(why().contains("cannot be read"), "{}", why());
        fs::remove_file(&path).unwrap();
        fs::set_permissions(&place.folder, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(why().contains("may be written by others"), "{}", why());
    }
}
