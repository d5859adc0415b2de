//! What credentials are made of. A provider yields [`Material`](crate::material::Material); an injection renders it for the wire.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Where the bytes of one secret are. Dropping it wipes them.
pub type Kept = Box<dyn AsRef<[u8]> + Send + Sync>;

/// Moves the bytes of a secret to where they are kept; what is handed over is wiped.
pub type Keep = fn(Zeroizing<Vec<u8>>) -> Kept;

static KEEP: OnceLock<Keep> = OnceLock::new();

/// From now on this keeps the bytes of secrets; before, and without it, they are on the heap. Only the first one counts.
pub fn keep_with(keep: Keep) {
    // Whoever comes second finds the place taken: secrets are kept by the first.
    let _ = KEEP.set(keep);
}

/// Bytes that nobody may see: no `Display`, `Clone`, `Serialize` or `PartialEq`; wiped when dropped.
pub struct Secret(Kept);

impl Secret {
    /// Takes the bytes over; the caller keeps no copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self(match KEEP.get() {
            Some(keep) => keep(bytes),
            None => Box::new(bytes),
        })
    }

    /// The bytes themselves. Called in `inject/`, `credentials/` and `needles` only: the tidy test holds that.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.bytes()
    }

    fn bytes(&self) -> &[u8] {
        (*self.0).as_ref()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Compares in constant time for equal lengths.
    #[must_use]
    pub fn is(&self, other: &[u8]) -> bool {
        self.bytes().ct_eq(other).into()
    }

    /// A hash for a table in memory, to find what [`Secret::is`] then compares. The hasher must hold a random key, as
    /// [`std::hash::RandomState`] does: then the time of a lookup tells nothing of the bytes.
    #[must_use]
    pub fn hash_with(&self, keyed: &impl BuildHasher) -> u64 {
        keyed.hash_one(self.bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The kinds of material: what a provider yields and what an injection takes must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaterialKind {
    /// One opaque value: an API key, an access token.
    Token,
    /// A user name and a password.
    UserPassword,
    /// AWS keys, long-lived or of a session.
    AwsKeys,
    /// A certificate and its private key.
    Certificate,
    /// A private key that signs.
    PrivateKey,
    /// An access token, and the private key that it is bound to.
    BoundToken,
}

impl fmt::Display for MaterialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "a token",
            Self::UserPassword => "a user and a password",
            Self::AwsKeys => "AWS keys",
            Self::Certificate => "a certificate and its key",
            Self::PrivateKey => "a private key",
            Self::BoundToken => "a token that is bound to a key",
        })
    }
}

/// What a provider obtained.
#[derive(Debug)]
pub enum Material {
    /// One opaque value.
    Token(Secret),
    /// A user name and a password.
    UserPassword {
        /// The user name; not secret.
        user: String,
        /// The password.
        password: Secret,
    },
    /// AWS keys: what signs, and the token that says of which session.
    AwsKeys {
        /// The access key id; not secret.
        access_key_id: String,
        /// The secret access key: it signs and never goes on the wire.
        secret_access_key: Secret,
        /// The session token of temporary keys: it goes on the wire.
        session_token: Option<Secret>,
    },
    /// A certificate and its private key: what proves a client in the TLS handshake.
    Certificate {
        /// The certificate, then those of its issuers; each in DER. Not secret.
        chain: Vec<Vec<u8>>,
        /// The private key in DER (PKCS#8, PKCS#1 or SEC1): it signs and never goes on the wire.
        key: Secret,
    },
    /// A private key in DER (PKCS#8, PKCS#1 or SEC1): it signs and never goes on the wire.
    PrivateKey(Secret),
    /// An access token that is worth nothing without proof of its key (RFC 9449).
    BoundToken {
        /// The token: it goes on the wire.
        token: Secret,
        /// The private key on P-256 in DER (PKCS#8): it signs and never goes on the wire.
        key: Secret,
    },
}

impl Material {
    /// Which kind this is.
    #[must_use]
    pub fn kind(&self) -> MaterialKind {
        match self {
            Self::Token(_) => MaterialKind::Token,
            Self::UserPassword { .. } => MaterialKind::UserPassword,
            Self::AwsKeys { .. } => MaterialKind::AwsKeys,
            Self::Certificate { .. } => MaterialKind::Certificate,
            Self::PrivateKey(_) => MaterialKind::PrivateKey,
            Self::BoundToken { .. } => MaterialKind::BoundToken,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    #[test]
    fn a_secret_shows_nothing_and_is_only_itself() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(secret.is(b"hunter2") && !secret.is(b"hunter3") && !secret.is(b"hunter") && !secret.is(b""));
    }

    #[test]
    fn material_does_not_print_its_secret() {
        let material = Material::UserPassword { user: "u".into(), password: Secret::new(b"hunter2".to_vec()) };
        assert!(!format!("{material:?}").contains("hunter2"));
    }

    #[test]
    fn the_hash_of_a_secret_is_that_of_its_bytes() {
        let keyed = RandomState::new();
        assert_eq!(Secret::new(b"abc".to_vec()).hash_with(&keyed), keyed.hash_one(b"abc".as_slice()));
    }
}
