//! An issuer of JWTs as a platform has one: the published form (RFC 7515, RFC 7517, ES256), signed by hand so that a test may say anything.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key, and its name.
pub struct Signer {
    pair: EcdsaKeyPair,
    kid: String,
}

impl Signer {
    /// A new key of this name.
    ///
    /// # Errors
    /// Where no key can be made.
    pub fn new(kid: &str) -> Result<Self> {
        let failed = |error| anyhow!("a signing key: {error}");
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).map_err(|_| failed("none"))?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).map_err(|_| failed("unread"))?;
        Ok(Self { pair, kid: kid.to_owned() })
    }

    /// Its key set.
    #[must_use]
    pub fn jwks(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
        let key = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid, "x": encoded(x), "y": encoded(y) });
        json!({ "keys": [key] }).to_string()
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// Where it cannot be signed.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let header = json!({ "alg": "ES256", "kid": self.kid });
        let signed = format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| anyhow!("it does not sign"))?;
        Ok(format!("{signed}.{}", encoded(signature.as_ref())))
    }
}

/// The claims of a projected service-account token of the pod `billing-0` in `payments`, as an API server issues them.
#[must_use]
pub fn service_account(issuer: &str, audience: &str) -> Value {
    let now = now();
    json!({
        "aud": [audience], "iss": issuer, "sub": "system:serviceaccount:payments:billing",
        "exp": now + 3600, "iat": now - 10, "nbf": now - 10,
        "kubernetes.io": { "namespace": "payments", "pod": { "name": "billing-0" }, "serviceaccount": { "name": "billing" } }
    })
}

/// The time as claims have it.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
