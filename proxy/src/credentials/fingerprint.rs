use std::sync::Arc;

use aws_lc_rs::{hmac, rand};
use keygress_policy::material::Material;

use crate::state::{Place, fingerprint_key};

/// Bytes of the HMAC that a fingerprint keeps: 16 hexadecimal digits.
const KEPT_BYTES: usize = 8;

/// Names secrets by HMAC-SHA256: equal for equal secrets, and of no use for guessing one. Cheap to clone.
#[derive(Clone)]
pub struct Fingerprints {
    key: hmac::Key,
}

impl Fingerprints {
    /// Under a fresh key: comparable within this process alone.
    #[must_use]
    pub fn fresh() -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()) }
    }

    /// Under the key that the state folder keeps: comparable among all processes that share it, now and later.
    ///
    /// # Errors
    /// Where the folder or its key cannot be trusted.
    pub fn kept(place: &Place) -> Result<Self, String> {
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &*fingerprint_key(place)?) })
    }

    /// The fingerprint of a value that stands for itself, as found somewhere: of a token, a secret access key or the bytes of a private
    /// key it is the same as in the audit.
    #[must_use]
    pub fn of_value(&self, value: &[u8]) -> Arc<str> {
        name(&hmac::sign(&self.key, value))
    }

    /// The fingerprint of a user with a password: the pair has one, neither half has.
    #[must_use]
    pub fn of_pair(&self, user: &[u8], password: &[u8]) -> Arc<str> {
        let mut context = hmac::Context::with_key(&self.key);
        // The length keeps `ab` + `c` apart from `a` + `bc`.
        context.update(&(user.len() as u64).to_be_bytes());
        context.update(user);
        context.update(password);
        name(&context.sign())
    }

    /// The fingerprint of what is secret in this material.
    pub(super) fn of(&self, material: &Material) -> Arc<str> {
        match material {
            Material::Token(token) | Material::BoundToken { token, .. } => self.of_value(token.expose()),
            Material::UserPassword { user, password } => self.of_pair(user.as_bytes(), password.expose()),
            // The id and the token name the same keys that the secret does.
            Material::AwsKeys { secret_access_key, .. } => self.of_value(secret_access_key.expose()),
            Material::PrivateKey(key) => self.of_value(key.expose()),
            // A certificate that was renewed for the same key is another one.
            Material::Certificate { chain, key } => {
                let mut context = hmac::Context::with_key(&self.key);
                chain.iter().for_each(|certificate| context.update(certificate));
                context.update(key.expose());
                name(&context.sign())
            }
        }
    }
}

fn name(tag: &hmac::Tag) -> Arc<str> {
    hex(tag.as_ref().get(..KEPT_BYTES).unwrap_or_default())
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
        let fingerprints = Fingerprints::fresh();
        assert_eq!(fingerprints.of(&token("a")), fingerprints.of(&token("a")));
        assert_ne!(fingerprints.of(&token("a")), fingerprints.of(&token("b")));
        assert_ne!(fingerprints.of(&pair("ab", "c")), fingerprints.of(&pair("a", "bc")));
    }

    #[test]
    fn another_process_gives_another_fingerprint() {
        assert_ne!(Fingerprints::fresh().of(&token("a")), Fingerprints::fresh().of(&token("a")));
    }

    #[test]
    fn what_is_found_somewhere_has_the_fingerprint_of_the_audit() {
        let fingerprints = Fingerprints::fresh();
        assert_eq!(fingerprints.of_value(b"a"), fingerprints.of(&token("a")));
        assert_ne!(fingerprints.of_value(b"b"), fingerprints.of(&token("a")));
        assert_eq!(fingerprints.of_pair(b"a", b"bc"), fingerprints.of(&pair("a", "bc")));
        assert_ne!(fingerprints.of_value(b"bc"), fingerprints.of(&pair("a", "bc")));
    }

    #[test]
    fn processes_that_share_a_folder_share_fingerprints() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, [7; 32]).unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let of = |name: &str, run: Option<&str>| {
            let place = Place { folder: folder.path().join(name), key: key.clone(), run: run.map(str::to_owned) };
            Fingerprints::kept(&place).unwrap().of(&token("a"))
        };
        assert_eq!(of("one", None), of("one", Some("a run")));
        assert_ne!(of("one", None), of("two", None));
    }

    #[test]
    fn a_fingerprint_is_16_hexadecimal_digits() {
        let fingerprint = Fingerprints::fresh().of(&token("a"));
        assert_eq!(fingerprint.len(), 16);
        assert!(fingerprint.chars().all(|digit| digit.is_ascii_hexdigit()));
    }

    #[test]
    fn fractions_stay_below_one() {
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random_fraction())));
    }
}
