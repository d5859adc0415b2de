//! What credentials are made of. A provider yields [`Material`]; an injection renders it for the wire.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes that nobody may see: no `Display`, `Clone`, `Serialize` or `PartialEq`; wiped when dropped.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; the caller keeps no copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Called in `inject/`, `credentials/` and `scrub.rs` only: the tidy test holds that.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in constant time for equal lengths.
    #[must_use]
    pub fn is(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
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
}

impl fmt::Display for MaterialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "a token",
            Self::UserPassword => "a user and a password",
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
}

impl Material {
    /// Which kind this is.
    #[must_use]
    pub fn kind(&self) -> MaterialKind {
        match self {
            Self::Token(_) => MaterialKind::Token,
            Self::UserPassword { .. } => MaterialKind::UserPassword,
        }
    }
}
