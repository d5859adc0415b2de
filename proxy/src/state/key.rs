use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

/// The shortest key, in bytes.
const KEY_BYTES_MIN: usize = 32;

/// The longest key file, in bytes.
const KEY_BYTES_MAX: u64 = 4096;

/// Bytes of a nonce of AES-GCM, which stands before what it sealed.
const NONCE_BYTES: usize = 12;

/// What is derived from the key of a state folder: one key that encrypts, one that chains rows.
#[derive(Clone)]
pub struct Key {
    sealing: Arc<RandomizedNonceKey>,
    chaining: hmac::Key,
}

impl Key {
    /// Reads a key file: 32 bytes or more that nobody can guess. A systemd credential and a Kubernetes secret are such files.
    ///
    /// # Errors
    /// What is wrong with the file, with its path, never with what it holds.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let file = File::open(path).map_err(|error| format!("the state key `{name}` cannot be read: {error}"))?;
        let metadata = file.metadata().map_err(|error| format!("the state key `{name}` cannot be read: {error}"))?;
        if !metadata.is_file() {
            return Err(format!("the state key `{name}` is not a regular file"));
        }
        if metadata.mode() & 0o006 != 0 {
            return Err(format!("the state key `{name}` is one that everybody may read or write: `chmod o-rw {name}`"));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        io::Read::read_to_end(&mut io::Read::take(file, KEY_BYTES_MAX), &mut bytes)
            .map_err(|error| format!("the state key `{name}` cannot be read: {error}"))?;
        Self::derive(&bytes).ok_or_else(|| {
            format!("the state key `{name}` is shorter than {KEY_BYTES_MIN} bytes: make one with `head --bytes=32 /dev/urandom > {name}`")
        })
    }

    /// `None` where the bytes are too few.
    pub(super) fn derive(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < KEY_BYTES_MIN {
            return None;
        }
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"keygress state 1").extract(bytes);
        let derived = |purpose: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            root.expand(&[purpose], hkdf::HKDF_SHA256).and_then(|out| out.fill(&mut *key)).ok()?;
            Some(key)
        };
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, &*derived(b"seal")?).ok()?;
        Some(Self { sealing: Arc::new(sealing), chaining: hmac::Key::new(hmac::HMAC_SHA256, &*derived(b"chain")?) })
    }

    /// Encrypts this for one place, such as the id of a lease: it cannot be opened in another.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn seal(&self, place: &str, plain: &[u8]) -> io::Result<String> {
        let mut bytes = plain.to_vec();
        let sealed = self.sealing.seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut bytes);
        let nonce = sealed.map_err(|_| io::Error::other("no random bytes"))?;
        Ok(STANDARD_NO_PAD.encode([nonce.as_ref().as_slice(), &bytes].concat()))
    }

    /// Decrypts what [`Key::seal`] gave for this place; `None` where it was changed, moved, or sealed with another key.
    #[must_use]
    pub fn unseal(&self, place: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce = aws_lc_rs::aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let length = self.sealing.open_in_place(nonce, Aad::from(place.as_bytes()), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }

    /// The keyed hash of a row that follows another.
    pub(super) fn chain(&self, previous: &[u8], row: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.chaining);
        context.update(previous);
        context.update(row);
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}
