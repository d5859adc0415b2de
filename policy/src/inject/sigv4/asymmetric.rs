use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use http::HeaderName;
use http::header::AUTHORIZATION;
use http::request::Parts;
use zeroize::Zeroizing;

use super::super::encoding::hex;
use super::super::{Payload, Sending};
use super::keys::Keys;
use super::scope::Scope;
use super::stamp::Stamp;
use super::{AMZ_CONTENT_SHA256, AMZ_DATE, AMZ_SECURITY_TOKEN, Signing, payload_hash, presigned, replace, value};

pub(super) const ALGORITHM: &str = "AWS4-ECDSA-P256-SHA256";

pub(super) static AMZ_REGION_SET: HeaderName = HeaderName::from_static("x-amz-region-set");

/// The order of P-256, less two (NIST SP 800-186, section 3.2.1.3).
const ORDER_LESS_TWO: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
    0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f,
];

/// An `ECPrivateKey` of RFC 5915 without its optional parts, up to the 32 bytes of the key: what computes the public part of it.
const DER_HEAD: [u8; 7] = [0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20];

/// The private key that AWS derives from a secret access key (Signature Version 4A).
pub(super) struct Asymmetric(EcdsaKeyPair);

impl fmt::Debug for Asymmetric {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asymmetric(…)")
    }
}

impl Asymmetric {
    /// Derives it: a key derivation in counter mode (NIST SP 800-108), tried with one counter after another until it is on the curve
    /// (FIPS 186-5, section A.2.2).
    pub(super) fn derive(access_key_id: &str, secret_access_key: &[u8]) -> Option<Self> {
        let key = hmac::Key::new(HMAC_SHA256, &Zeroizing::new([b"AWS4A", secret_access_key].concat()));
        (1..=254_u8).find_map(|counter| {
            let input =
                [&1_u32.to_be_bytes()[..], ALGORITHM.as_bytes(), &[0], access_key_id.as_bytes(), &[counter], &256_u32.to_be_bytes()];
            let tag = hmac::sign(&key, &input.concat());
            let mut der = Zeroizing::new(DER_HEAD.to_vec());
            der.reserve_exact(32);
            der.extend_from_slice(tag.as_ref());
            let candidate = der.get_mut(DER_HEAD.len()..)?;
            // Both are as long: they compare as the numbers do. A key that is refused says nothing of the next.
            if *candidate > ORDER_LESS_TWO[..] {
                return None;
            }
            for byte in candidate.iter_mut().rev() {
                let (sum, carries) = byte.overflowing_add(1);
                *byte = sum;
                if !carries {
                    break;
                }
            }
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).ok().map(Self)
        })
    }

    /// The signature of a text, in hexadecimal digits.
    pub(super) fn sign(&self, text: &[u8]) -> Result<String, String> {
        let signature = self.0.sign(&SystemRandom::new(), text).map_err(|_| "the request could not be signed")?;
        Ok(hex(signature.as_ref()))
    }

    #[cfg(test)]
    pub(super) fn public(&self) -> &[u8] {
        use aws_lc_rs::signature::KeyPair as _;
        self.0.public_key().as_ref()
    }
}

/// What is signed: it names no region.
pub(super) fn text(stamp: &Stamp, service: &str, canonical: &[u8]) -> String {
    let hash = hex(digest(&SHA256, canonical).as_ref());
    [ALGORITHM, "\n", stamp.as_str(), "\n", stamp.date(), "/", service, "/aws4_request\n", &hash].concat()
}

/// Signs a request for a set of regions.
pub(super) fn sign(head: &mut Parts, keys: &Keys, service: &str, region_set: &str, sending: &Sending<'_>) -> Result<Payload, String> {
    if presigned::stands_in(head) {
        return Err("a URL that was signed beforehand is not signed anew for several regions".to_owned());
    }
    let scope = Scope { region: region_set, service };
    let signing = Signing::new(keys, scope, Stamp::of(sending.now));
    let payload_hash = payload_hash(head, scope, sending)?;
    if payload_hash.starts_with("STREAMING-AWS4-") {
        return Err("a body whose chunks are signed is not signed anew for several regions".to_owned());
    }
    let mut set = vec![(AMZ_DATE.clone(), signing.stamp_value()?), (AMZ_REGION_SET.clone(), value(region_set)?)];
    if let Some(token) = &keys.session_token {
        set.push((AMZ_SECURITY_TOKEN.clone(), token.clone()));
    }
    if scope.is_s3() && !head.headers.contains_key(&AMZ_CONTENT_SHA256) {
        set.push((AMZ_CONTENT_SHA256.clone(), value(&payload_hash)?));
    }
    let (canonical, signed) = signing.canonical(head, sending, &set, head.uri.query().unwrap_or_default(), &payload_hash).write();
    let signature = keys.asymmetric()?.sign(text(&signing.stamp, service, &canonical).as_bytes())?;
    let credential = [&keys.access_key_id, "/", signing.stamp.date(), "/", service, "/aws4_request"].concat();
    let mut authorization =
        value(&[ALGORITHM, " Credential=", &credential, ", SignedHeaders=", &signed, ", Signature=", &signature].concat())?;
    authorization.set_sensitive(true);
    set.push((AUTHORIZATION, authorization));
    replace(head, set)?;
    Ok(Payload::AsItCame)
}
