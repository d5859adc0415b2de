//! The certificates that the command trusts: those of the system and the CA of this run, in files that every runtime can read.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::java;

/// CA files in a folder that only this user can enter; removed when dropped.
pub(super) struct Bundle {
    /// The CA of this run alone, for runtimes that add it to their own roots.
    pub(super) ca: PathBuf,
    /// The system's roots, the extra ones and the CA of this run, for runtimes that replace their roots.
    pub(super) all: PathBuf,
    /// The same as a trust store of Java.
    pub(super) java: PathBuf,
    /// Whether the system has any roots: without them, destinations that pass without interception cannot be verified by the command.
    pub(super) system_roots: bool,
    // Removes the folder when dropped.
    folder: TempDir,
}

impl Bundle {
    /// Writes both files. `extra` are PEM files that are trusted beside the system's roots.
    ///
    /// # Errors
    /// Where an extra file cannot be read or the folder cannot be written.
    pub(super) fn write(ca_pem: &str, extra: &[PathBuf]) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("keygress-").permissions(Permissions::from_mode(0o700)).tempdir()?;
        let system = system_roots();
        let mut all = vec![ca_pem.to_owned(), system.clone()];
        for file in extra {
            all.push(read(file)?);
        }
        let bundle = Self {
            ca: folder.path().join("ca.pem"),
            all: folder.path().join("bundle.pem"),
            java: folder.path().join("trust.jks"),
            system_roots: !system.is_empty(),
            folder,
        };
        fs::write(&bundle.ca, ca_pem)?;
        let all = all.join("\n");
        let certificates = pem::parse_many(&all).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let certificates: Vec<_> = certificates.into_iter().filter(|one| one.tag() == "CERTIFICATE").map(pem::Pem::into_contents).collect();
        fs::write(&bundle.java, java::trust_store(&certificates))?;
        fs::write(&bundle.all, all)?;
        Ok(bundle)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn read(file: &Path) -> io::Result<String> {
    fs::read_to_string(file).map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", file.display())))
}

fn system_roots() -> String {
    let roots = rustls_native_certs::load_native_certs().certs;
    let blocks: Vec<_> = roots.iter().map(|root| pem::Pem::new("CERTIFICATE", root.to_vec())).collect();
    let line_feeds = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_many_config(&blocks, line_feeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_private_and_goes_away() {
        let bundle = Bundle::write("CA\n", &[]).unwrap();
        let folder = bundle.ca.parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(&bundle.ca).unwrap(), "CA\n");
        assert!(fs::read_to_string(&bundle.all).unwrap().starts_with("CA\n"));
        drop(bundle);
        assert!(!folder.exists());
    }

    #[test]
    fn a_missing_extra_file_is_named() {
        let Err(error) = Bundle::write("CA\n", &[PathBuf::from("/nowhere/root.pem")]) else { panic!("written") };
        assert!(error.to_string().contains("`/nowhere/root.pem`"), "{error}");
    }
}
