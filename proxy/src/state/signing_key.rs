use std::fs;
use std::io::Write;
use std::path::Path;

use super::folder::{options, private_folder};
use super::{Key, Place};
use crate::audit::SigningKey;

/// The file that holds the key, encrypted under the key of the folder, and the one that holds its public half.
const KEY: &str = "audit-key";
const PUBLIC: &str = "audit-key.pub";

/// For what the key is encrypted.
const PURPOSE: &str = "audit signing key";

/// The longest file of a key, in bytes.
const BYTES_MAX: u64 = 4096;

/// The key that signs the checkpoints of the audit: made at the first start, and kept in the folder, encrypted.
///
/// # Errors
/// Where the folder cannot be used, or its key was written under another one.
pub fn signing_key(place: &Place) -> Result<SigningKey, String> {
    private_folder(&place.folder)?;
    let sealing = Key::read(&place.key)?;
    let path = place.folder.join(KEY);
    let signing = match fs::metadata(&path) {
        Ok(metadata) if metadata.len() <= BYTES_MAX => read(&path, &sealing)?,
        Ok(_) => return Err(refuse(&path, "is too large to be a key")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let signing = SigningKey::generate()?;
            let plain = signing.to_pkcs8().ok_or_else(|| refuse(&path, "cannot be made"))?;
            let sealed = sealing.seal(PURPOSE, &plain).map_err(|error| refuse(&path, &format!("cannot be made: {error}")))?;
            write(&path, &sealed).map_err(|error| refuse(&path, &format!("cannot be written: {error}")))?;
            signing
        }
        Err(error) => return Err(refuse(&path, &format!("cannot be read: {error}"))),
    };
    let public = place.folder.join(PUBLIC);
    write(&public, &format!("{}\n", signing.public())).map_err(|error| refuse(&public, &format!("cannot be written: {error}")))?;
    Ok(signing)
}

fn read(path: &Path, sealing: &Key) -> Result<SigningKey, String> {
    let sealed = fs::read_to_string(path).map_err(|error| refuse(path, &format!("cannot be read: {error}")))?;
    let plain = sealing.unseal(PURPOSE, sealed.trim_end());
    plain.and_then(|plain| SigningKey::from_pkcs8(&plain)).ok_or_else(|| refuse(path, "was not written under the key of the state folder"))
}

/// Replaces a file at once, and on the disk.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = options().truncate(true).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn refuse(path: &Path, why: &str) -> String {
    format!("the audit key `{}` {why}", path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_lies_encrypted() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().join("state"), key: folder.path().join("key"), run: None };
        fs::write(&place.key, [7; 32]).unwrap();
        fs::set_permissions(&place.key, fs::Permissions::from_mode(0o600)).unwrap();
        let first = signing_key(&place).unwrap();
        assert_eq!(signing_key(&place).unwrap().public(), first.public());
        assert_eq!(fs::read_to_string(place.folder.join(PUBLIC)).unwrap().trim(), first.public().to_string());
        let kept = fs::read(place.folder.join(KEY)).unwrap();
        assert_eq!(fs::metadata(place.folder.join(KEY)).unwrap().permissions().mode() & 0o777, 0o600);
        let plain = first.to_pkcs8().unwrap();
        assert!(!kept.windows(16).any(|window| plain.windows(16).any(|secret| secret == window)));

        fs::write(&place.key, [8; 32]).unwrap();
        assert!(signing_key(&place).unwrap_err().contains("was not written under the key of the state folder"));
    }
}
