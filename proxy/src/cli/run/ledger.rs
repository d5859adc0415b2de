//! Where a run keeps what was issued for it, so that the next keygress revokes it where this one is killed.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use aws_lc_rs::rand;
use keygress_policy::Source as _;
use zeroize::Zeroizing;

use crate::Policy;
use crate::config;
use crate::state::{Place, private_folder};

/// Our folder below the user's own for state.
const OURS: &str = "keygress";
const FOLDER: &str = "ledger";
const KEY: &str = "ledger-key";

/// Bytes of a key that is made here.
const KEY_BYTES: usize = 32;

/// Arguments about the ledger.
#[derive(Debug, clap::Args)]
pub(super) struct Kept {
    /// Keep in this folder what was issued, so that it is revoked by the next keygress with the folder where this one is killed. Default:
    /// `keygress` in XDG_STATE_HOME or ~/.local/state, with a key beside it.
    #[arg(long, value_name = "FOLDER", env = "KEYGRESS_STATE")]
    pub(super) state: Option<PathBuf>,
    /// The file whose 32 bytes or more encrypt what revokes a lease.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_STATE_KEY", requires = "state")]
    pub(super) state_key: Option<PathBuf>,
    /// Keep nothing: where keygress is killed, what was issued lives until it expires.
    #[arg(long, conflicts_with_all = ["state", "state_key"])]
    no_state: bool,
}

impl Kept {
    /// Where this run keeps its rows; `None` where it was told not to, where nothing is issued, or where the user has no place for it,
    /// which is said.
    ///
    /// # Errors
    /// Where the folder was named, and has no key; where there is no randomness.
    pub(super) fn place(&self, policy: &Policy) -> anyhow::Result<Option<Place>> {
        let run = Some(name()?);
        if let Some(folder) = &self.state {
            let named = config::named_state(folder.clone(), self.state_key.clone())?;
            return Ok(named.map(|place| Place { run, ..place }));
        }
        if self.no_state || policy.credentials().iter().all(|credential| credential.source.is_static()) {
            return Ok(None);
        }
        match own_folder().and_then(|folder| prepared(&folder)) {
            Ok(place) => Ok(Some(Place { run, ..place })),
            Err(why) => {
                tracing::warn!("where this keygress is killed, what was issued lives until it expires: {why}; or name a folder: `--state`");
                Ok(None)
            }
        }
    }
}

/// A name that no other run has.
fn name() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).map_err(|_| anyhow!("no randomness"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where the state of this user's keygress is (XDG Base Directory Specification).
fn own_folder() -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Ok(state.context("neither XDG_STATE_HOME nor HOME names a folder")?.join(OURS))
}

/// The folder, with a key beside the rows: one that is made here where there is none.
fn prepared(ours: &Path) -> anyhow::Result<Place> {
    private_folder(ours).map_err(|why| anyhow!(why))?;
    let key = ours.join(KEY);
    if !key.exists() {
        make_key(ours, &key).with_context(|| format!("the state key `{}` cannot be made", key.display()))?;
    }
    Ok(Place { folder: ours.join(FOLDER), key, run: None })
}

/// Writes a key that only we can read. Where another run is quicker its key stays.
fn make_key(folder: &Path, key: &Path) -> anyhow::Result<()> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(&mut *bytes).map_err(|_| anyhow!("no randomness"))?;
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
    file.write_all(&*bytes)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(key) {
        Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Key;

    #[test]
    fn runs_that_start_together_get_one_key_that_only_we_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join(OURS);
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..8).map(|_| scope.spawn(|| std::fs::read(prepared(&ours).unwrap().key).unwrap())).collect();
            starting.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0] && key.len() == KEY_BYTES));
        let place = prepared(&ours).unwrap();
        assert_eq!(std::fs::metadata(&place.key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Key::read(&place.key).is_ok());
        assert_eq!(std::fs::read_dir(&ours).unwrap().count(), 1, "nothing but the key");
    }
}
