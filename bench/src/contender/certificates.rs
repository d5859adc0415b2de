//! The certificates that peers show: a CA of their own and one leaf for the upstream's name, on P-256 like the leaves that keygress mints.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::upstream::HOST;

/// A CA and a leaf, each as PEM.
pub(super) struct Certificates {
    /// The CA, for clients to trust.
    pub(super) ca: String,
    /// The CA with its key, for who mints leaves.
    pub(super) ca_with_key: String,
    /// The leaf.
    pub(super) leaf: String,
    /// Its key.
    pub(super) leaf_key: String,
}

impl Certificates {
    /// New ones.
    ///
    /// # Errors
    /// Where none can be made.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        ca.distinguished_name.push(DnType::CommonName, "CA of a peer");
        let ca_key = KeyPair::generate()?;
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let ca_with_key = format!("{ca_pem}{}", ca_key.serialize_pem());
        let issuer = Issuer::new(ca, ca_key);
        let leaf_key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(vec![HOST.to_owned()])?;
        leaf.distinguished_name.push(DnType::CommonName, HOST);
        let leaf = leaf.signed_by(&leaf_key, &issuer)?.pem();
        Ok(Self { ca: ca_pem, ca_with_key, leaf, leaf_key: leaf_key.serialize_pem() })
    }

    /// Writes the leaf into a folder: `leaf.pem`, `leaf.key`, and both together in `leaf-with-key.pem`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn write_leaf(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::write(folder.join("leaf.pem"), &self.leaf)?;
        std::fs::write(folder.join("leaf.key"), &self.leaf_key)?;
        std::fs::write(folder.join("leaf-with-key.pem"), format!("{}{}", self.leaf, self.leaf_key))?;
        Ok(())
    }
}
