//! What proves this process over mutual TLS, and whom it trusts at the other end: read again when the files change.

use std::fmt;
use std::fs::{self, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;
use zeroize::Zeroizing;

use crate::statement::Signer;

/// The files are looked at no more often than this.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The most of one file that is read.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The files of one side of mutual TLS, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Our certificate and its chain.
    pub certificate: PathBuf,
    /// Its private key (PKCS#8; PKCS#1 for RSA).
    pub key: PathBuf,
    /// The authorities from which the certificate of the other side must come.
    pub ca: PathBuf,
}

impl Files {
    /// The files.
    #[must_use]
    pub fn paths(&self) -> [&Path; 3] {
        [&self.certificate, &self.key, &self.ca]
    }
}

/// What the files hold, as it is used.
pub struct Loaded {
    /// Our certificate and key.
    pub certified: Arc<CertifiedKey>,
    /// Whom we trust at the other end.
    pub roots: Arc<RootCertStore>,
    /// Signs with the same key.
    pub signer: Signer,
    /// The names of our own certificate: SPIFFE IDs and DNS names.
    pub names: Names,
}

/// The names that a certificate proves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// SPIFFE IDs.
    pub spiffe_ids: Vec<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
}

impl Names {
    /// The names of this certificate.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let certificate = EndEntityCert::try_from(certificate).map_err(|_| "the certificate cannot be read".to_owned())?;
        let spiffe_ids = certificate.valid_uri_names().filter(|uri| uri.starts_with("spiffe://")).map(str::to_owned).collect();
        Ok(Self { spiffe_ids, dns_names: certificate.valid_dns_names().map(str::to_owned).collect() })
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn have(&self, name: &str) -> bool {
        self.spiffe_ids.iter().chain(&self.dns_names).any(|own| own == name)
    }
}

/// The public key of a certificate, in DER (SubjectPublicKeyInfo).
///
/// # Errors
/// Where the certificate cannot be read.
pub fn public_key(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, String> {
    let certificate = EndEntityCert::try_from(certificate).map_err(|_| "the certificate cannot be read".to_owned())?;
    Ok(certificate.subject_public_key_info().to_vec())
}

/// One side of mutual TLS.
pub struct Identity {
    files: Files,
    loaded: ArcSwap<Loaded>,
    seen: Mutex<Seen>,
}

struct Seen {
    version: [Version; 3],
    at: Instant,
}

/// What tells one content of a file from the next.
type Version = (u64, u64, i64, i64);

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn read(files: Files) -> Result<Self, String> {
        let version = versions(&files);
        let loaded = load(&files)?;
        Ok(Self { files, loaded: ArcSwap::from_pointee(loaded), seen: Mutex::new(Seen { version, at: Instant::now() }) })
    }

    /// What the files hold now; what they held before as long as that cannot be used.
    #[must_use]
    pub fn now(&self) -> Arc<Loaded> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.at.elapsed() >= LOOK_INTERVAL {
            seen.at = Instant::now();
            let version = versions(&self.files);
            if version != seen.version {
                seen.version = version;
                match load(&self.files) {
                    Ok(loaded) => self.loaded.store(Arc::new(loaded)),
                    Err(why) => tracing::warn!("{why}; the certificate before it stays in use"),
                }
            }
        }
        self.loaded.load_full()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("files", &self.files).finish_non_exhaustive()
    }
}

fn versions(files: &Files) -> [Version; 3] {
    let version = |metadata: Metadata| (metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    files.paths().map(|path| fs::metadata(path).map(version).unwrap_or_default())
}

fn load(files: &Files) -> Result<Loaded, String> {
    let about = |path: &Path, why: &str| format!("`{}`: {why}", path.display());
    let certificates = |path: &Path| {
        let text = text(path)?;
        let read = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(|error| about(path, &error.to_string()))?;
        if read.is_empty() { Err(about(path, "it holds no certificate in PEM")) } else { Ok(read) }
    };
    let chain = certificates(&files.certificate)?;
    let own = chain.first().ok_or_else(|| about(&files.certificate, "it holds no certificate"))?.clone();
    let names = Names::of(&own).map_err(|why| about(&files.certificate, &why))?;
    let open_to_all = fs::metadata(&files.key).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0);
    if open_to_all {
        return Err(about(&files.key, "everybody may read or write the private key; give it mode 0600"));
    }
    let pem = text(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| about(&files.key, "it holds no private key in PEM"))?;
    let certified = CertifiedKey::from_der(chain, key, &default_provider())
        .map_err(|_| about(&files.key, &format!("it is not the key of the certificate in `{}`", files.certificate.display())))?;
    let signer = Signer::new(pem.as_bytes(), &public_key(&own)?).map_err(|why| about(&files.key, why))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.ca)? {
        roots.add(certificate).map_err(|error| about(&files.ca, &error.to_string()))?;
    }
    Ok(Loaded { certified: Arc::new(certified), roots: Arc::new(roots), signer, names })
}

fn text(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    read.map(|_| text).map_err(|error| format!("`{}`: {error}", path.display()))
}

/// Why a certificate proves nothing, in words that can be told to its holder.
#[must_use]
pub fn why_not(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError;
    match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "is for another name",
            // Of an authority that has the name of ours and another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => "comes from an authority that is not trusted",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "is not for this use",
            _ => "is not valid",
        },
        _ => "is not valid",
    }
}
