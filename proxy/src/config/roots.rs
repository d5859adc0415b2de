//! The certificates by which upstreams are verified.

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Invalid;

/// The roots of the system, or Mozilla's where it has none, and these files.
///
/// # Errors
/// Names the file that cannot be read, holds no certificate, or one that cannot be a root.
pub fn roots(extra: &[PathBuf]) -> Result<RootCertStore, Invalid> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for path in extra {
        let about = |why: String| Invalid::new(format!("upstream CA `{}`: {why}", path.display()));
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| about(error.to_string()))?;
        if certificates.is_empty() {
            return Err(about("it holds no certificate".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| about(error.to_string()))?;
        }
    }
    Ok(roots)
}
