//! The certificates that the command trusts: those of the system and the CA of this run, in files that every runtime can read.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::runtimes::Files;

/// CA files in a folder that only this user can enter; removed when dropped.
pub(super) struct Bundle {
    /// What every runtime trusts.
    pub(super) files: Files,
    /// Whether the system has any roots: without them, destinations that pass without interception cannot be verified by the command.
    pub(super) system_roots: bool,
    // Removes the folder when dropped.
    folder: TempDir,
}

impl Bundle {
    /// Writes the files. `extra` are PEM files that are trusted beside the system's roots.
    ///
    /// # Errors
    /// Where an extra file cannot be read or the folder cannot be written.
    pub(super) fn write(ca_pem: &str, extra: &[PathBuf]) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("keygress-").permissions(Permissions::from_mode(0o700)).tempdir()?;
        let files = Files::of(folder.path());
        let system_roots = files.write(ca_pem, extra)?;
        Ok(Self { files, system_roots, folder })
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_folder_is_private_and_goes_away() {
        let bundle = Bundle::write("CA\n", &[]).unwrap();
        let folder = bundle.files.ca.parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(&bundle.files.ca).unwrap(), "CA\n");
        assert!(fs::read_to_string(&bundle.files.all).unwrap().starts_with("CA\n"));
        drop(bundle);
        assert!(!folder.exists());
    }

    #[test]
    fn a_missing_extra_file_is_named() {
        let Err(error) = Bundle::write("CA\n", &[PathBuf::from("/nowhere/root.pem")]) else { panic!("written") };
        assert!(error.to_string().contains("`/nowhere/root.pem`"), "{error}");
    }
}
