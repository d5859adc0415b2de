use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::file;

/// A client certificate in PEM files, read for every call, so that it can be rotated.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientCertificate {
    /// The path of the certificate, with its chain if there is one.
    certificate: PathBuf,
    /// The path of its private key.
    key: PathBuf,
}

/// Reads the authorities that verify one endpoint.
///
/// # Errors
/// What is wrong with the file, with its path.
pub(super) async fn read_roots(path: &Path) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path).await? {
        roots.add(certificate).map_err(|_| format!("the file `{}` holds a certificate that is no authority", path.display()))?;
    }
    Ok(Arc::new(roots))
}

async fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = file::read_public(path).await?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.ok().filter(|certificates| !certificates.is_empty());
    certificates.ok_or_else(|| format!("the file `{}` holds no certificate in PEM", path.display()))
}

/// A client certificate that can be shown.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl ClientCertificate {
    /// What is wrong with its shape, as (message, help).
    pub(super) fn complaints(&self) -> impl Iterator<Item = (String, String)> {
        [file::complaint(&self.certificate), file::complaint(&self.key)].into_iter().flatten()
    }

    /// Reads both files.
    ///
    /// # Errors
    /// What is wrong with one of them, with its path, never with what it holds.
    pub(super) async fn read(&self) -> Result<Identity, String> {
        let chain = read_certificates(&self.certificate).await?;
        let key = file::read_text(&self.key).await?;
        let key = PrivateKeyDer::from_pem_slice(key.expose());
        let key = key.map_err(|_| format!("the file `{}` holds no private key in PEM", self.key.display()))?;
        Ok(Identity { chain, key })
    }
}
