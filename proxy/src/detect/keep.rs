use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Baseline, Baselines};
use crate::state::{Key, Place};

/// The file that holds what is usual.
const FILE: &str = "baselines";

/// For what it is encrypted.
const PURPOSE: &str = "baselines 1";

/// The longest file, in bytes: more than the bounds of baselines come to.
const BYTES_MAX: u64 = 64 << 20;

/// Where what is usual outlives the process: one file in the state folder, under its key, replaced in one step.
pub struct Keeper {
    path: PathBuf,
    key: Key,
}

impl Keeper {
    /// In this state folder, which is ours already.
    #[must_use]
    pub fn new(place: &Place, key: Key) -> Self {
        Self { path: place.folder.join(FILE), key }
    }

    /// What an earlier process kept.
    ///
    /// # Errors
    /// Where it cannot be read, or is not what was kept under this key.
    pub fn read(&self) -> Result<Vec<(Arc<str>, Baseline)>, String> {
        let refuse = |why: String| format!("what is usual, `{}`, {why}: it is learned anew", self.path.display());
        let mut sealed = String::new();
        match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&self.path) {
            Ok(file) => file.take(BYTES_MAX).read_to_string(&mut sealed).map_err(|error| refuse(format!("cannot be read: {error}")))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(refuse(format!("cannot be read: {error}"))),
        };
        let plain = self.key.unseal(PURPOSE, &sealed);
        let kept = plain.and_then(|plain| serde_json::from_slice::<BTreeMap<String, Baseline>>(&plain).ok());
        let kept = kept.ok_or_else(|| refuse("is not what was kept under the key of the state folder".to_owned()))?;
        Ok(kept.into_iter().map(|(name, baseline)| (name.into(), baseline)).collect())
    }

    /// Keeps it.
    ///
    /// # Errors
    /// Where the disk refuses; what was kept before stays.
    pub fn write(&self, baselines: &Baselines) -> io::Result<()> {
        let all: BTreeMap<_, _> = baselines.all().into_iter().map(|(name, baseline)| (name.to_string(), baseline)).collect();
        let sealed = self.key.seal(PURPOSE, &serde_json::to_vec(&all)?)?;
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(".new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
        let mut file = options.open(&beside)?;
        file.write_all(sealed.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn keeper(folder: &Path, fill: u8) -> Keeper {
        let key = folder.join(format!("key-{fill}"));
        fs::write(&key, [fill; 32]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let place = Place { folder: folder.to_owned(), key: key.clone(), run: None };
        Keeper::new(&place, Key::read(&key).unwrap())
    }

    #[test]
    fn what_is_kept_is_there_for_the_next_process_and_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = keeper(folder.path(), 1);
        assert_eq!(keeper.read(), Ok(Vec::new()));
        let mut baselines = Baselines::new(Duration::ZERO);
        baselines.touch(&"crm".into(), 7);
        baselines.of("crm").unwrap().0.learn(3, "GET", 7, 0);
        keeper.write(&baselines).unwrap();
        keeper.write(&baselines).unwrap();
        let kept = keeper.read().unwrap();
        assert_eq!((&*kept[0].0, &kept[0].1), ("crm", baselines.all()[0].1));
        let path = folder.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains("crm") && !folder.path().join("baselines.new").exists());

        let other = self::keeper(folder.path(), 2);
        assert!(other.read().unwrap_err().contains("is not what was kept under the key"));
        let mut text = fs::read(&path).unwrap();
        text.truncate(text.len() / 2);
        fs::write(&path, text).unwrap();
        assert!(keeper.read().unwrap_err().contains("learned anew"));
    }
}
