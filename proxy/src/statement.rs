//! What a keygress says to its broker of one request: whose it is, signed with the key of its client certificate (a JWT).
//!
//! It holds for one request (method, destination, path), one broker, one connection (RFC 9266) and one minute, and once.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use keygress_policy::workload::Task;
use memchr::memmem;
use rustls::pki_types::alg_id;
use serde::{Deserialize, Serialize};

/// How the value of `Proxy-Authorization` begins in which it travels: that field never goes further than one hop.
pub const PREFIX: &str = "Keygress ";

/// What its header calls it.
const TYPE: &str = "keygress-statement+jwt";

/// How long it holds.
const LIFETIME: Duration = Duration::from_secs(60);

/// How far the clocks of both sides may be apart.
const LEEWAY: Duration = Duration::from_secs(60);

/// The longest statement that is looked at.
const BYTES_MAX: usize = 8 * 1024;

/// The most workloads, and the most labels of a task, that one names.
const NAMES_MAX: usize = 64;

/// The longest name, id, label and value in it.
const NAME_BYTES_MAX: usize = 256;

/// The label of the keying material that names a connection to both its ends (RFC 9266).
const CHANNEL_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// For whom a keygress speaks: what its own policy calls the caller, and the task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Behalf {
    /// Workloads, by name.
    pub workloads: Vec<Arc<str>>,
    /// The task.
    pub task: Option<Task>,
}

/// The request of which something is said.
#[derive(Clone, Copy, Debug)]
pub struct Of<'r> {
    /// Its method.
    pub method: &'r str,
    /// `scheme://authority`.
    pub origin: &'r str,
    /// Path and query.
    pub path: &'r str,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    aud: String,
    iat: u64,
    exp: u64,
    jti: String,
    htm: String,
    htu: String,
    path_sha256: String,
    workloads: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskClaim>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskClaim {
    id: String,
    labels: std::collections::BTreeMap<String, String>,
}

/// Names one TLS connection to both its ends, and to nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel(Arc<str>);

impl Channel {
    /// The name of this connection; `None` before its handshake is through.
    pub fn of<D>(connection: &rustls::ConnectionCommon<D>) -> Option<Self> {
        let exported = connection.export_keying_material([0_u8; 32], CHANNEL_LABEL, None).ok()?;
        Some(Self(exported.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>().into()))
    }

    /// The name of the request of this number on it: both sides have it on record.
    #[must_use]
    pub fn trace(&self, number: u64) -> Arc<str> {
        format!("{}-{number}", self.0).into()
    }

    fn number(&self, trace: &str) -> Option<u64> {
        let digits = trace.strip_prefix(&*self.0)?.strip_prefix('-')?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    }
}

/// The name of a request on both sides: it stands in the audit of each.
#[derive(Clone, Debug)]
pub struct Trace(pub Arc<str>);

/// Signs statements.
pub struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
}

impl Signer {
    /// Signs with this private key (PEM), of which this is the public one (DER).
    ///
    /// # Errors
    /// Where it cannot sign.
    pub fn new(pem: &[u8], public: &[u8]) -> Result<Self, &'static str> {
        let algorithm = algorithm(public).ok_or("the key must be RSA, Ed25519, or ECDSA on P-256 or P-384")?;
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
            _ => EncodingKey::from_rsa_pem(pem),
        };
        Ok(Self { key: key.map_err(|_| "the private key must be PKCS#8, or PKCS#1 for RSA")?, algorithm })
    }

    /// Says to this broker, on whose behalf the request of this name is.
    ///
    /// # Errors
    /// Where the key does not sign after all.
    pub fn sign(&self, broker: &str, trace: &str, of: Of<'_>, behalf: &Behalf) -> Result<String, &'static str> {
        let now = seconds(SystemTime::now());
        let task = behalf.task.as_ref().map(|task| TaskClaim { id: task.id.clone(), labels: task.labels.clone() });
        let claims = Claims {
            aud: broker.to_owned(),
            iat: now,
            exp: now + LIFETIME.as_secs(),
            jti: trace.to_owned(),
            htm: of.method.to_owned(),
            htu: of.origin.to_owned(),
            path_sha256: hash(of.path),
            workloads: behalf.workloads.iter().map(|name| name.to_string()).collect(),
            task,
        };
        let header = Header { typ: Some(TYPE.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, &claims, &self.key).map_err(|_| "what is said to the broker cannot be signed")
    }
}

/// Believes the statements of one peer.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// Believes what this public key (DER) has signed.
    ///
    /// # Errors
    /// Where it is of no kind that signs statements.
    pub fn new(public: &[u8]) -> Result<Self, &'static str> {
        let unusable = "the key of the client certificate is of no kind that signs statements";
        let algorithm = algorithm(public).ok_or(unusable)?;
        let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", public));
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => DecodingKey::from_ed_pem(pem.as_bytes()),
            _ => DecodingKey::from_rsa_pem(pem.as_bytes()),
        };
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY.as_secs();
        validation.set_required_spec_claims(&["exp", "aud"]);
        // Ours to check: we have several names, and the library would say neither which failed.
        validation.validate_aud = false;
        Ok(Self { key: key.map_err(|_| unusable)?, validation })
    }

    /// On whose behalf the request is, and the number of the statement on this connection. Whether the number was seen before is for the
    /// caller to know.
    ///
    /// # Errors
    /// What is wrong with it, never what it holds.
    pub fn verify(
        &self,
        statement: &str,
        channel: &Channel,
        of: Of<'_>,
        is_ours: impl FnOnce(&str) -> bool,
    ) -> Result<(Behalf, u64), &'static str> {
        if statement.len() > BYTES_MAX {
            return Err("the statement is too long");
        }
        let read = decode::<Claims>(statement, &self.key, &self.validation).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => "the statement has expired",
            ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => {
                "the statement is not signed with the key of the client certificate"
            }
            _ => "the statement cannot be read",
        })?;
        let Claims { aud, iat, exp, jti, htm, htu, path_sha256, workloads, task } = read.claims;
        let now = seconds(SystemTime::now());
        if read.header.typ.as_deref() != Some(TYPE) {
            return Err("it is a JWT, and no statement");
        }
        if !is_ours(&aud) {
            return Err("the statement is for another broker");
        }
        if iat > now + LEEWAY.as_secs() || exp > now + (LIFETIME + LEEWAY).as_secs() {
            return Err("the statement comes from the future: look at the clocks of both sides");
        }
        if (htm.as_str(), htu.as_str(), path_sha256.as_str()) != (of.method, of.origin, hash(of.path).as_str()) {
            return Err("the statement is of another request");
        }
        let number = channel.number(&jti).ok_or("the statement is of another connection")?;
        let task = task.map(|TaskClaim { id, labels }| Task { id, labels });
        let behalf = Behalf { workloads: workloads.into_iter().map(Into::into).collect(), task };
        if behalf.is_plain() { Ok((behalf, number)) } else { Err("the statement names what cannot be a name") }
    }
}

impl Behalf {
    fn is_plain(&self) -> bool {
        let plain = |text: &str| text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
        let task = self.task.as_ref();
        let labels = task.map(|task| &task.labels);
        let texts = labels.into_iter().flatten().flat_map(|(key, value)| [key, value]);
        self.workloads.len() <= NAMES_MAX
            && labels.is_none_or(|labels| labels.len() <= NAMES_MAX)
            && task.is_none_or(|task| !task.id.is_empty())
            && self.workloads.iter().all(|name| plain(name))
            && texts.chain(task.map(|task| &task.id)).all(|text| plain(text))
    }
}

/// The numbers that came on one connection: none of them is taken twice, and none that lies far behind.
#[derive(Debug)]
pub struct Window {
    highest: u64,
    seen: [u64; Self::WORDS],
}

impl Default for Window {
    fn default() -> Self {
        Self { highest: 0, seen: [0; Self::WORDS] }
    }
}

impl Window {
    const WORDS: usize = 64;
    /// Requests on one connection overtake each other by fewer than this.
    const WIDTH: u64 = Self::WORDS as u64 * 64;

    /// Whether this number is new.
    pub fn take(&mut self, number: u64) -> bool {
        if self.highest.saturating_sub(number) >= Self::WIDTH || number == 0 {
            return false;
        }
        if number > self.highest {
            let passed = (number - self.highest).min(Self::WIDTH);
            (0..passed).for_each(|back| self.mark(number - back, false));
            self.highest = number;
        } else if self.is_marked(number) {
            return false;
        }
        self.mark(number, true);
        true
    }

    fn place(number: u64) -> (usize, u64) {
        let at = number % Self::WIDTH;
        (usize::try_from(at / 64).unwrap_or_default(), 1 << (at % 64))
    }

    fn is_marked(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.seen.get(word).is_some_and(|word| word & bit != 0)
    }

    fn mark(&mut self, number: u64, seen: bool) {
        let (word, bit) = Self::place(number);
        if let Some(word) = self.seen.get_mut(word) {
            if seen { *word |= bit } else { *word &= !bit }
        }
    }
}

/// The algorithm that goes with a public key (DER): chosen by the key, never by the statement.
fn algorithm(public: &[u8]) -> Option<Algorithm> {
    // The algorithm stands first in it (RFC 5280, section 4.1).
    let head = public.get(..32)?;
    let known = [
        (alg_id::ECDSA_P256, Algorithm::ES256),
        (alg_id::ECDSA_P384, Algorithm::ES384),
        (alg_id::ED25519, Algorithm::EdDSA),
        (alg_id::RSA_ENCRYPTION, Algorithm::PS256),
    ];
    known.into_iter().find(|(id, _)| memmem::find(head, id.as_ref()).is_some()).map(|(_, algorithm)| algorithm)
}

fn hash(path: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, path.as_bytes()))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
