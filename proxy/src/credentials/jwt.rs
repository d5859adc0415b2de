use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header, encode};
use keygress_policy::material::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::fingerprint::random_name;
use super::wire::Time;
use super::{Purpose, file, purpose};

/// The longest life of a token that keygress signs itself, as nobody can revoke it.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);

const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);

/// The claims that are keygress's own.
const OUR_CLAIMS: [&str; 3] = ["iat", "exp", "jti"];

/// A private key that signs JSON Web Tokens (RFC 7519), read for every signature, so that it can be rotated.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SigningKey {
    /// The path of the private key in PEM: PKCS#8, or PKCS#1 for RSA.
    file: PathBuf,
    /// The algorithm: `RS256`, `PS256`, `ES256`, `ES384` or `EdDSA`. Must be that of the key.
    algorithm: Algorithm,
    /// The `kid` in the header: which key the verifier takes. Default: none.
    id: Option<String>,
}

/// The signatures of RFC 7518 that have a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum Algorithm {
    /// RSA with SHA-256, PKCS#1 v1.5.
    RS256,
    /// RSA with SHA-256, PSS.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl SigningKey {
    /// The file that is read.
    pub(super) fn path(&self) -> &Path {
        &self.file
    }

    /// A key of which the policy says only where it is.
    pub(super) fn new(file: PathBuf, algorithm: Algorithm) -> Self {
        Self { file, algorithm, id: None }
    }

    /// What is wrong with its shape, as (message, help).
    pub(super) fn complaint(&self) -> Option<(String, String)> {
        file::complaint(&self.file)
    }

    /// Signs these claims and, beside them, when the token was made (unless they say it), when it ends, and a name of its own.
    ///
    /// # Errors
    /// What is wrong with the key, with its path, never with what it holds.
    pub(super) async fn sign(&self, claims: Map<String, Value>, lifetime: Duration) -> Result<Secret, String> {
        let pem = file::read_text(&self.file).await?;
        sign(&pem, self.algorithm, self.id.clone(), claims, lifetime).ok_or_else(|| {
            format!("the file `{}` holds no private key for {:?}: it must be PKCS#8 in PEM", self.file.display(), self.algorithm)
        })
    }
}

/// Signs with a private key in PEM, as [`SigningKey::sign`] does; `None` where it is none.
pub(super) fn sign(
    pem: &Secret,
    algorithm: Algorithm,
    id: Option<String>,
    mut claims: Map<String, Value>,
    lifetime: Duration,
) -> Option<Secret> {
    let now = Timestamp::now().as_second();
    claims.entry("iat").or_insert(now.into());
    claims.insert("exp".to_owned(), now.saturating_add_unsigned(lifetime.as_secs()).into());
    claims.insert("jti".to_owned(), random_name().as_ref().into());
    let (key, algorithm) = match algorithm {
        Algorithm::RS256 => (EncodingKey::from_rsa_pem(pem.expose()), jsonwebtoken::Algorithm::RS256),
        Algorithm::PS256 => (EncodingKey::from_rsa_pem(pem.expose()), jsonwebtoken::Algorithm::PS256),
        Algorithm::ES256 => (EncodingKey::from_ec_pem(pem.expose()), jsonwebtoken::Algorithm::ES256),
        Algorithm::ES384 => (EncodingKey::from_ec_pem(pem.expose()), jsonwebtoken::Algorithm::ES384),
        Algorithm::EdDSA => (EncodingKey::from_ed_pem(pem.expose()), jsonwebtoken::Algorithm::EdDSA),
    };
    let mut header = Header::new(algorithm);
    header.kid = id;
    key.and_then(|key| encode(&header, &claims, &key)).ok().map(|token| Secret::new(token.into_bytes()))
}

/// When a token that somebody else signed ends, as it says itself: how long it serves is all that this is good for.
pub(super) fn end_of(token: &Secret) -> Option<Timestamp> {
    let payload = token.expose().split(|byte| *byte == b'.').nth(1)?;
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    let Ends { exp } = serde_json::from_slice(&payload).ok()?;
    Timestamp::from_second(exp).ok()
}

#[derive(Deserialize)]
struct Ends {
    exp: i64,
}

/// A JSON Web Token that keygress signs itself: who holds it, as keygress has proven it, in claims that the policy lays down.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignedJwt {
    /// The key that signs it.
    key: SigningKey,
    /// The claims. In every string `{workload}`, `{task}` and `{credential}` stand for what keygress has proven. `iat`, `exp` and `jti` are
    /// added.
    claims: Map<String, Value>,
    /// How long it lives, at most `24h`. Default `5m`.
    lifetime: Option<Time>,
}

impl SignedJwt {
    /// The files that are read.
    pub(super) fn reads(&self) -> Vec<&Path> {
        vec![self.key.path()]
    }

    /// What is wrong with its shape, as (message, help).
    pub(super) fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints: Vec<_> = self.key.complaint().into_iter().collect();
        for claim in OUR_CLAIMS.into_iter().filter(|claim| self.claims.contains_key(*claim)) {
            complaints
                .push((format!("the claim `{claim}` is keygress's own"), "leave it out; `lifetime` says how long it lives".to_owned()));
        }
        each_text(&self.claims, &mut |text| complaints.extend(purpose::complaint(text)));
        if self.lifetime() < Duration::from_secs(1) || self.lifetime() > LIFETIME_MAX {
            complaints.push(("`lifetime` is not between 1 second and 24 hours".to_owned(), "write a time such as `5m`".to_owned()));
        }
        complaints
    }

    /// How long it lives.
    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime.map_or(LIFETIME_DEFAULT, |Time(lifetime)| lifetime)
    }

    /// Signs one.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub(super) async fn sign(&self, purpose: &Purpose) -> Result<Secret, String> {
        let claims = self.claims.iter().map(|(name, value)| (name.clone(), filled(value, purpose))).collect();
        self.key.sign(claims, self.lifetime()).await
    }
}

fn filled(value: &Value, purpose: &Purpose) -> Value {
    match value {
        Value::String(text) => Value::String(purpose.fill(text)),
        Value::Array(values) => values.iter().map(|value| filled(value, purpose)).collect(),
        Value::Object(values) => values.iter().map(|(name, value)| (name.clone(), filled(value, purpose))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn each_text(values: &Map<String, Value>, look: &mut dyn FnMut(&str)) {
    fn within(value: &Value, look: &mut dyn FnMut(&str)) {
        match value {
            Value::String(text) => look(text),
            Value::Array(values) => values.iter().for_each(|value| within(value, look)),
            Value::Object(values) => each_text(values, look),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    values.values().for_each(|value| within(value, look));
}
