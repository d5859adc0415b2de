use std::sync::Arc;

use aws_lc_rs::{hmac, rand};
use keygress_policy::material::Material;

/// Bytes of the HMAC that a fingerprint keeps: 16 hexadecimal digits.
const KEPT_BYTES: usize = 8;

/// Names secrets by HMAC-SHA256 under a random key of this process: equal for equal secrets, and of no use for guessing one.
pub(super) struct Fingerprints {
    key: hmac::Key,
}

impl Fingerprints {
    /// Draws a fresh key.
    pub(super) fn new() -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()) }
    }

    /// The fingerprint of what is secret in this material.
    pub(super) fn of(&self, material: &Material) -> Arc<str> {
        let tag = match material {
            Material::Token(token) => hmac::sign(&self.key, token.expose()),
            Material::UserPassword { user, password } => {
                let mut context = hmac::Context::with_key(&self.key);
                // The length keeps `ab` + `c` apart from `a` + `bc`.
                context.update(&(user.len() as u64).to_be_bytes());
                context.update(user.as_bytes());
                context.update(password.expose());
                context.sign()
            }
            // The id and the token name the same keys that the secret does.
            Material::AwsKeys { secret_access_key, .. } => hmac::sign(&self.key, secret_access_key.expose()),
            Material::PrivateKey(key) => hmac::sign(&self.key, key.expose()),
            // A certificate that was renewed for the same key is another one.
            Material::Certificate { chain, key } => {
                let mut context = hmac::Context::with_key(&self.key);
                chain.iter().for_each(|certificate| context.update(certificate));
                context.update(key.expose());
                context.sign()
            }
            Material::BoundToken { token, .. } => hmac::sign(&self.key, token.expose()),
        };
        hex(tag.as_ref().get(..KEPT_BYTES).unwrap_or_default())
    }
}

/// Sixteen random bytes, for a signature that wants something that was never there before.
#[must_use]
pub fn nonce() -> [u8; 16] {
    random::<16>()
}

/// A random name of 16 hexadecimal digits, for leases.
pub(super) fn random_name() -> Arc<str> {
    hex(&random::<8>())
}

/// A number in `0.0..1.0` that nobody can foresee, for jitter.
pub(super) fn random_fraction() -> f64 {
    f64::from(u32::from_be_bytes(random::<4>())) / (f64::from(u32::MAX) + 1.0)
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    #[expect(clippy::expect_used, reason = "without randomness there is no TLS either: nothing can go on")]
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

fn hex(bytes: &[u8]) -> Arc<str> {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use keygress_policy::material::Secret;

    use super::*;

    fn token(text: &str) -> Material {
        Material::Token(Secret::new(text.into()))
    }

    fn pair(user: &str, password: &str) -> Material {
        Material::UserPassword { user: user.into(), password: Secret::new(password.into()) }
    }

    #[test]
    fn equal_secrets_share_a_fingerprint_and_others_do_not() {
        let fingerprints = Fingerprints::new();
        assert_eq!(fingerprints.of(&token("a")), fingerprints.of(&token("a")));
        assert_ne!(fingerprints.of(&token("a")), fingerprints.of(&token("b")));
        assert_ne!(fingerprints.of(&pair("ab", "c")), fingerprints.of(&pair("a", "bc")));
    }

    #[test]
    fn another_process_gives_another_fingerprint() {
        assert_ne!(Fingerprints::new().of(&token("a")), Fingerprints::new().of(&token("a")));
    }

    #[test]
    fn a_fingerprint_is_16_hexadecimal_digits() {
        let fingerprint = Fingerprints::new().of(&token("a"));
        assert_eq!(fingerprint.len(), 16);
        assert!(fingerprint.chars().all(|digit| digit.is_ascii_hexdigit()));
    }

    #[test]
    fn fractions_stay_below_one() {
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random_fraction())));
    }
}
