use std::path::{Path, PathBuf};
use std::sync::Arc;

use keygress_policy::inject;
use keygress_policy::material::Secret;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
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

/// Reads the certificates of a PEM file.
///
/// # Errors
/// What is wrong with the file, with its path.
pub(super) async fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = file::read_public(path).await?;
    certificates(&text).ok_or_else(|| format!("the file `{}` holds no certificate in PEM", path.display()))
}

/// Reads a private key in PEM, in DER.
///
/// # Errors
/// What is wrong with the file, with its path, never with what it holds.
pub(super) async fn read_key(path: &Path) -> Result<Secret, String> {
    let text = file::read_text(path).await?;
    private_key(&text).ok_or_else(|| format!("the file `{}` holds no private key in PEM", path.display()))
}

/// The certificates of a PEM text; `None` where it holds none.
pub(super) fn certificates(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    certificates.ok().filter(|certificates| !certificates.is_empty())
}

/// The private key of a PEM text, in DER; `None` where it holds none.
pub(super) fn private_key(text: &Secret) -> Option<Secret> {
    PrivateKeyDer::from_pem_slice(text.expose()).ok().map(|key| Secret::new(key.secret_der().to_vec()))
}

/// A certificate that proves us, with what signs for it.
///
/// # Errors
/// Where the key is none, or is not that of the certificate.
pub(super) fn certified(certificate: &inject::ClientCertificate) -> Result<CertifiedKey, String> {
    let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key =
        PrivateKeyDer::try_from(certificate.key.expose().to_vec()).map_err(|_| "its private key is not one that can sign".to_owned())?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|_| "its private key cannot sign, or is not that of the certificate".to_owned())
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

    /// The files that are read.
    pub(super) fn reads(&self) -> [&Path; 2] {
        [&self.certificate, &self.key]
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
