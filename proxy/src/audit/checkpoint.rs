//! What makes a chain hard to write anew: some of its lines carry a signature over all that stands before them.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use super::Kind;
use super::chain::{self, Head};
use super::record::Place;

/// What every public key begins with.
const ALGORITHM: &str = "ed25519:";

/// Bytes of an Ed25519 public key.
const PUBLIC_BYTES: usize = 32;

/// How often what was written is signed where nothing else is said.
const EVERY: Duration = Duration::from_secs(60);

/// The largest file that holds one checkpoint, in bytes.
const ANCHOR_BYTES_MAX: u64 = 64 << 10;

/// Signs checkpoints. Cannot be printed.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// Draws a fresh key.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn generate() -> Result<Self, String> {
        Ed25519KeyPair::generate().map(Self::of).map_err(|_| "no random bytes".to_owned())
    }

    /// Reads a key in PKCS#8 (PEM), as `openssl genpkey -algorithm ed25519` makes it.
    ///
    /// # Errors
    /// Where the file cannot be read or holds no such key; never with what it holds.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let pem = fs::read(path).map(zeroize::Zeroizing::new).map_err(|error| format!("the audit key `{name}` cannot be read: {error}"))?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).ok();
        der.and_then(|der| Self::from_pkcs8(der.secret_pkcs8_der())).ok_or_else(|| {
            format!("the audit key `{name}` is no Ed25519 key in PKCS#8: make one with `openssl genpkey -algorithm ed25519 -out {name}`")
        })
    }

    /// The key that these bytes (PKCS#8, DER) hold.
    #[must_use]
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Self::of)
    }

    /// The key in PKCS#8 (DER): to be encrypted, and kept.
    #[must_use]
    pub fn to_pkcs8(&self) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        self.pair.to_pkcs8().ok().map(|document| zeroize::Zeroizing::new(document.as_ref().to_vec()))
    }

    /// What verifies it.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs the line at this place, and with it all lines before.
    pub(super) fn seal(&self, kind: Kind, place: &Place<'_>) -> Seal {
        let uid = format!("{}-{}", place.instance, place.seq);
        let signature = self.pair.sign(message(kind.as_str(), &uid, place.time.milliseconds(), place.prev).as_bytes());
        Seal { key: self.public.0.clone(), signature: STANDARD_NO_PAD.encode(signature.as_ref()) }
    }

    fn of(pair: Ed25519KeyPair) -> Self {
        let public = PublicKey(format!("{ALGORITHM}{}", STANDARD_NO_PAD.encode(pair.public_key().as_ref())));
        Self { pair, public }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}

/// What verifies checkpoints: `ed25519:` and the key in base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(String);

impl PublicKey {
    /// Reads a key as it is printed.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches('=');
        let bytes = text.strip_prefix(ALGORITHM).and_then(|digits| STANDARD_NO_PAD.decode(digits).ok());
        match bytes {
            Some(bytes) if bytes.len() == PUBLIC_BYTES => Ok(Self(text.to_owned())),
            Some(_) | None => Err(format!("a public key of an audit is written `{ALGORITHM}` and 43 digits of base64")),
        }
    }

    fn verifies(&self, message: &str, signature: &str) -> bool {
        let bytes = self.0.strip_prefix(ALGORITHM).and_then(|digits| STANDARD_NO_PAD.decode(digits).ok());
        let (Some(bytes), Ok(signature)) = (bytes, STANDARD_NO_PAD.decode(signature)) else { return false };
        UnparsedPublicKey::new(&ED25519, bytes).verify(message.as_bytes(), &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How what is written is signed.
#[derive(Debug)]
pub struct Signing {
    /// The key.
    pub key: SigningKey,
    /// How often, where something was written.
    pub every: Duration,
    /// Where the newest checkpoint is kept beside the audit: what tells, at the next start, that the end of the audit was cut off.
    pub anchor: Option<PathBuf>,
}

impl Signing {
    /// With this key, once a minute.
    #[must_use]
    pub fn with(key: SigningKey, anchor: Option<PathBuf>) -> Self {
        Self { key, every: EVERY, anchor }
    }

    /// Says what is missing where the audit ends before its newest checkpoint.
    pub(super) fn cut_off(&self, end: &Head) -> Option<String> {
        let signed = Anchor::read(self.anchor.as_ref()?).ok()?.head;
        let is_here = signed.seq < end.seq || signed == *end;
        (!is_here).then(|| {
            format!(
                "record {} was signed, and the audit ends with record {}: its end was cut off or written anew, or this is another file",
                signed.seq, end.seq
            )
        })
    }

    /// Keeps a line that carries a signature as the newest.
    pub(super) fn keep(&self, line: &[u8]) {
        let Some(path) = &self.anchor else { return };
        if let Err(error) = replace(path, line) {
            tracing::warn!(%error, "the newest checkpoint of the audit could not be kept in the state folder");
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(&beside)?;
    file.write_all(bytes)?;
    fs::rename(&beside, path)
}

/// The signature that a line carries, and the key that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) key: String,
    pub(super) signature: String,
}

impl Seal {
    /// Whose signature it is.
    ///
    /// # Errors
    /// Where it does not verify.
    pub(super) fn verify(&self, line: &chain::Line) -> Result<PublicKey, String> {
        let key = PublicKey::parse(&self.key).map_err(|_| "the key of its signature is none")?;
        let message = message(&line.activity, &line.uid, line.time, &line.prev);
        if key.verifies(&message, &self.signature) { Ok(key) } else { Err("its signature does not verify".to_owned()) }
    }
}

/// What is signed: the hash of the line before stands for all of them.
fn message(activity: &str, uid: &str, time: i64, prev: &str) -> String {
    format!("keygress audit checkpoint 1\n{activity}\n{uid}\n{time}\n{prev}")
}

/// A checkpoint that was kept elsewhere: an audit that does not hold it was cut off or written anew.
#[derive(Clone, Debug)]
pub struct Anchor {
    pub(super) head: Head,
    pub(super) key: PublicKey,
}

impl Anchor {
    /// Reads a file that holds the line of one checkpoint.
    ///
    /// # Errors
    /// Where it cannot be read, or its line carries no signature that verifies.
    pub fn read(path: &Path) -> Result<Self, String> {
        let refuse = |why: &str| format!("the checkpoint `{}` {why}", path.display());
        let length = fs::metadata(path).map_err(|error| refuse(&format!("cannot be read: {error}")))?.len();
        if length > ANCHOR_BYTES_MAX {
            return Err(refuse("is too large for one record"));
        }
        let bytes = fs::read(path).map_err(|error| refuse(&format!("cannot be read: {error}")))?;
        let line = chain::read(bytes.trim_ascii_end()).map_err(|why| refuse(&format!("is none: {why}")))?;
        let seal = line.seal.as_ref().ok_or_else(|| refuse("carries no signature"))?;
        let key = seal.verify(&line).map_err(|why| refuse(&format!("is none: {why}")))?;
        Ok(Self { head: line.head, key })
    }
}
