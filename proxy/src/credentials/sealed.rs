use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use keygress_policy::material::{Material, MaterialKind, Secret};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Fetched, Provider, Purpose, Tools, Work, file};

/// What everything that is sealed begins with; the number is the version of this construction.
const VALUE: &str = "kgs1:";
const PUBLIC_KEY: &str = "kgpub1:";
const PRIVATE_KEY: &str = "kgkey1:";

/// Keeps what is sealed here from meaning anything elsewhere.
const INFO: &[u8] = b"keygress sealed v1";

/// The bytes of an X25519 public key, and of what it encapsulates.
const KEY_BYTES: usize = 32;

/// The bytes that AES-256-GCM adds.
const TAG_BYTES: usize = 16;

/// A secret that stands in the policy itself, sealed to the key of the proxy (HPKE, RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) and to the
/// name of its credential: `keygress seal` makes it. Static.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// What `keygress seal` printed.
    value: String,
    /// The path of the key file that `keygress seal --new-key` made. It may hold several keys, one a line: then each is tried.
    key_file: PathBuf,
    /// The user name to which the password is sealed. Makes it a user and a password instead of a token.
    user: Option<String>,
    /// The access key id to which the secret access key is sealed. Makes it AWS keys.
    access_key_id: Option<String>,
}

impl Provider for Sealed {
    fn kind(&self) -> &'static str {
        "sealed"
    }

    fn yields(&self) -> MaterialKind {
        match (&self.access_key_id, &self.user) {
            (Some(_), _) => MaterialKind::AwsKeys,
            (None, Some(_)) => MaterialKind::UserPassword,
            (None, None) => MaterialKind::Token,
        }
    }

    fn is_static(&self) -> bool {
        true
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let both = self.user.is_some() && self.access_key_id.is_some();
        let both =
            both.then(|| ("`user` and `access_key_id` stand there both".to_owned(), "keep the one that is sealed with it".to_owned()));
        let value = parts(&self.value).is_none().then(|| {
            let help = "write what `keygress seal --to KEY --credential NAME` prints".to_owned();
            ("`value` is nothing that keygress sealed".to_owned(), help)
        });
        file::complaint(&self.key_file).into_iter().chain(value).chain(both).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.key_file.clone()]
    }

    fn reads(&self) -> Vec<&Path> {
        vec![&self.key_file]
    }

    fn fetch<'a>(&'a self, _: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let keys = file::read_text(&self.key_file).await?;
            let secret = self.open(&keys, purpose)?;
            file::check(secret.expose()).map_err(|fault| format!("what is sealed {fault}"))?;
            let material = match (&self.access_key_id, &self.user) {
                (Some(id), _) => Material::AwsKeys { access_key_id: id.clone(), secret_access_key: secret, session_token: None },
                (None, Some(user)) => Material::UserPassword { user: user.clone(), password: secret },
                (None, None) => Material::Token(secret),
            };
            Ok(Fetched { material, lifetime: None, handle: None })
        })
    }
}

impl Sealed {
    fn open(&self, keys: &Secret, purpose: &Purpose) -> Result<Secret, String> {
        let (encapsulated, ciphertext) = parts(&self.value).ok_or("`value` is nothing that keygress sealed")?;
        let keys: Vec<_> = keys.expose().split(|byte| *byte == b'\n').filter_map(private_key).collect();
        if keys.is_empty() {
            return Err(format!("the file `{}` holds no key of `keygress seal --new-key`", self.key_file.display()));
        }
        let name = purpose.credential.as_str();
        let open = |key: &HpkePrivateKey| SUITE.open(&encapsulated, INFO, name.as_bytes(), &ciphertext, key).ok();
        keys.iter().find_map(open).map(Secret::new).ok_or_else(|| {
            format!(
                "the value is sealed to another key than those in `{}`, or to another credential than `{name}`",
                self.key_file.display()
            )
        })
    }
}

/// Makes a new key: the private part goes into this file, which must not exist; returns the public part, to which anybody may seal.
///
/// # Errors
/// Where the file cannot be made, or there is no randomness.
pub fn new_key(path: &Path) -> io::Result<String> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let (HpkePublicKey(public), private) = SUITE.generate_key_pair().map_err(io::Error::other)?;
    let public = format!("{PUBLIC_KEY}{}", URL_SAFE_NO_PAD.encode(public));
    // With the room taken beforehand, growing leaves no copy of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(256));
    for part in ["# seal to ", &public, "\n", PRIVATE_KEY] {
        text.push_str(part);
    }
    URL_SAFE_NO_PAD.encode_string(private.secret_bytes(), &mut text);
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(public)
}

/// Seals a secret to a public key and to the name of a credential; one line break at its end is dropped.
///
/// # Errors
/// Where the key is none, or the secret cannot be one.
pub fn seal(secret: &Secret, to: &str, credential: &str) -> Result<String, String> {
    let key = to.trim().strip_prefix(PUBLIC_KEY).and_then(|key| URL_SAFE_NO_PAD.decode(key).ok());
    let key = key.filter(|key| key.len() == KEY_BYTES).ok_or("this is no public key of `keygress seal --new-key`")?;
    let text = secret.expose();
    let line = text.strip_suffix(b"\n").map_or(text, |line| line.strip_suffix(b"\r").unwrap_or(line));
    file::check(line).map_err(|fault| format!("standard input {fault}"))?;
    let sealed = SUITE.seal(INFO, credential.as_bytes(), line, &HpkePublicKey(key));
    let (EncapsulatedSecret(mut bytes), ciphertext) = sealed.map_err(|_| "nothing can be sealed to this key".to_owned())?;
    bytes.extend_from_slice(&ciphertext);
    Ok(format!("{VALUE}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn parts(value: &str) -> Option<(EncapsulatedSecret, Vec<u8>)> {
    let mut bytes = URL_SAFE_NO_PAD.decode(value.strip_prefix(VALUE)?).ok().filter(|bytes| bytes.len() > KEY_BYTES + TAG_BYTES)?;
    let ciphertext = bytes.split_off(KEY_BYTES);
    Some((EncapsulatedSecret(bytes), ciphertext))
}

fn private_key(line: &[u8]) -> Option<HpkePrivateKey> {
    let key = URL_SAFE_NO_PAD.decode(line.trim_ascii().strip_prefix(PRIVATE_KEY.as_bytes())?).ok()?;
    let key = Zeroizing::new(key);
    (key.len() == KEY_BYTES).then(|| HpkePrivateKey::from(key.to_vec()))
}
