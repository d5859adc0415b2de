//! What one test has of its own: a folder, a certificate authority for upstreams, fresh secrets.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd};
use tempfile::TempDir;

/// The ground of one test; its folder goes with it.
pub struct Site {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// Whether a certificate is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It is.
    Current,
    /// It ended years ago.
    Expired,
}

impl Site {
    /// A fresh folder and a fresh authority.
    ///
    /// # Errors
    /// Where the folder or the key cannot be made.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "upstream authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2060, 1, 1));
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let site = Self { folder: tempfile::Builder::new().prefix("keygress-test-").tempdir()?, authority };
        site.write("upstream-ca.pem", &site.authority.pem())?;
        Ok(site)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file that holds the authority that the proxy is to trust.
    #[must_use]
    pub fn upstream_ca(&self) -> PathBuf {
        self.folder().join("upstream-ca.pem")
    }

    /// Writes a file into the folder.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder().join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// A file that only its owner may read: where secrets come from.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_secret(&self, name: &str, text: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(name, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// A certificate for a host, signed by the authority.
    ///
    /// # Errors
    /// Where the host is no name.
    pub fn certificate(&self, host: &str, validity: Validity) -> Result<Certificate> {
        self.signed(CertificateParams::new([host.to_owned()])?, host, validity)
    }

    /// A certificate with this SPIFFE ID and no other name, signed by the authority.
    ///
    /// # Errors
    /// Where the ID cannot stand in a certificate.
    pub fn svid(&self, spiffe_id: &str, validity: Validity) -> Result<Certificate> {
        let mut params = CertificateParams::default();
        params.subject_alt_names.push(SanType::URI(spiffe_id.try_into()?));
        self.signed(params, "a workload", validity)
    }

    fn signed(&self, mut params: CertificateParams, name: &str, validity: Validity) -> Result<Certificate> {
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = match validity {
            Validity::Current => date_time_ymd(2059, 1, 1),
            Validity::Expired => date_time_ymd(2021, 1, 1),
        };
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.authority)?;
        Ok(Certificate { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// A fresh random secret that a leak would show: letters and digits only.
///
/// # Errors
/// Where the system has no randomness.
pub fn canary() -> Result<String> {
    let mut bytes = [0_u8; 20];
    aws_lc_rs::rand::fill(&mut bytes).context("no randomness")?;
    Ok(bytes.iter().fold(String::from("canary"), |text, byte| text + &format!("{byte:02x}")))
}
