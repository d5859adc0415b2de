use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA512, RsaSignatureEncoding,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::encoding::KeyForm;
use crate::material::{Material, MaterialKind, Secret};

/// What signs a message, under the name that it has in the registry of RFC 9421.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// Ed25519.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256Sha256,
    /// RSASSA-PSS with SHA-512.
    #[serde(rename = "rsa-pss-sha512")]
    RsaPssSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "rsa-v1_5-sha256")]
    RsaV15Sha256,
    /// HMAC with SHA-256 and a shared key.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
}

impl Algorithm {
    /// The material that it signs with.
    pub(super) fn takes(self) -> MaterialKind {
        match self {
            Self::HmacSha256 => MaterialKind::Token,
            Self::Ed25519 | Self::EcdsaP256Sha256 | Self::RsaPssSha512 | Self::RsaV15Sha256 => MaterialKind::PrivateKey,
        }
    }
}

/// A key made ready to sign.
pub(super) enum SigningKey {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static RsaSignatureEncoding),
    Hmac(Box<hmac::Key>),
}

impl fmt::Debug for SigningKey {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// The key in this material, and what of it is secret.
    pub(super) fn of(algorithm: Algorithm, material: &Material, form: KeyForm) -> Result<(Self, &Secret), String> {
        if let (Algorithm::HmacSha256, Material::Token(spelled)) = (algorithm, material) {
            return Ok((Self::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &form.read(spelled)?))), spelled));
        }
        let Material::PrivateKey(secret) = material else { return Err("it is no private key".to_owned()) };
        let der = secret.expose();
        let rsa = || RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).ok();
        let key = match algorithm {
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Self::Ed25519),
            Algorithm::EcdsaP256Sha256 => Self::p256(secret).ok(),
            Algorithm::RsaPssSha512 => rsa().map(|key| Self::Rsa(key, &RSA_PSS_SHA512)),
            Algorithm::RsaV15Sha256 => rsa().map(|key| Self::Rsa(key, &RSA_PKCS1_SHA256)),
            Algorithm::HmacSha256 => None,
        };
        Ok((key.ok_or("its private key does not fit the `algorithm`")?, secret))
    }

    /// A key on P-256, in DER.
    pub(super) fn p256(der: &Secret) -> Result<Self, String> {
        EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.expose())
            .map(Self::Ecdsa)
            .map_err(|_| "its private key is not on P-256".to_owned())
    }

    /// The coordinates of the public key on P-256; `None` for another.
    pub(super) fn point(&self) -> Option<(&[u8], &[u8])> {
        let Self::Ecdsa(key) = self else { return None };
        // An uncompressed point: 0x04, x, y (SEC 1, section 2.3.3).
        key.public_key().as_ref().strip_prefix(&[4])?.split_at_checked(32)
    }

    /// The signature of a message.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        const FAILED: &str = "the request could not be signed";
        let random = SystemRandom::new();
        Ok(match self {
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Ecdsa(key) => key.sign(&random, message).map_err(|_| FAILED)?.as_ref().to_vec(),
            Self::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Self::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message, &mut signature).map_err(|_| FAILED)?;
                signature
            }
        })
    }
}
