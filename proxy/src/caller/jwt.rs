//! Verifying a JWT (RFC 7519, RFC 8725) with the keys of its issuer.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

/// How far the issuer's clock and ours may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 60;

/// The most of a token that is looked at.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// For whom, and from whom, a token must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// `iss`.
    pub(super) issuer: String,
    /// One of `aud`.
    pub(super) audience: String,
}

/// What a token says, verified.
#[derive(Debug)]
pub(super) struct Claims {
    /// Every claim.
    pub(super) all: Map<String, Value>,
    /// When it is taken no more, in seconds since 1970.
    pub(super) until: u64,
}

/// Why a token is not taken; reads on from what the token is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The key set has no such key: a newer one may.
    UnknownKey,
    /// Anything else.
    Refused(&'static str),
}

impl Fault {
    /// In words.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::UnknownKey => "was signed with a key that the key set does not hold",
            Self::Refused(why) => why,
        }
    }
}

/// Reads a JWKS document (RFC 7517).
///
/// # Errors
/// Where it cannot be read, or holds nothing that verifies.
pub(super) fn keys(jwks: &str) -> Result<JwkSet, String> {
    let keys: JwkSet = serde_json::from_str(jwks).map_err(|error| format!("the key set cannot be read: {error}"))?;
    let usable = keys.keys.iter().any(|key| algorithm(key).is_some());
    if usable { Ok(keys) } else { Err("the key set holds no public key that can verify a token".to_owned()) }
}

/// What a token says, if one of these keys signed it, for us, and it is valid at this time.
///
/// # Errors
/// [`Fault`]: never the token.
pub(super) fn verify(token: &str, keys: &JwkSet, expected: &Expected, now: SystemTime) -> Result<Claims, Fault> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Fault::Refused("is too long"));
    }
    let header = decode_header(token).map_err(|_| Fault::Refused("is not a JWT"))?;
    let key = header.kid.and_then(|kid| keys.find(&kid)).ok_or(Fault::UnknownKey)?;
    let unusable = Fault::Refused("was signed with a key that cannot verify it");
    let algorithm = algorithm(key).ok_or(unusable)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| unusable)?;
    let all = decode::<Map<String, Value>>(token, &key, &validation(expected, algorithm)).map_err(|error| why(error.kind()))?.claims;
    let until = check_times(&all, now).map_err(Fault::Refused)?;
    Ok(Claims { all, until })
}

fn validation(expected: &Expected, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[&expected.issuer]);
    validation.set_audience(&[&expected.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // The library asks the clock itself; we are told the time.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

fn why(kind: &ErrorKind) -> Fault {
    Fault::Refused(match kind {
        ErrorKind::InvalidAudience => "is for another audience",
        ErrorKind::InvalidIssuer => "comes from another issuer",
        ErrorKind::InvalidSignature => "has a signature that does not verify",
        ErrorKind::InvalidAlgorithm => "has another algorithm than its key",
        ErrorKind::MissingRequiredClaim(_) => "lacks one of the claims exp, iss, aud and sub",
        _ => "cannot be read",
    })
}

fn check_times(claims: &Map<String, Value>, now: SystemTime) -> Result<u64, &'static str> {
    let now = now.duration_since(UNIX_EPOCH).map_err(|_| "came while the clock stood before 1970")?.as_secs();
    let until = claims.get("exp").and_then(seconds).ok_or("has no time of expiry")?.saturating_add(LEEWAY_SECONDS);
    if until <= now {
        return Err("has expired");
    }
    match claims.get("nbf").map(seconds) {
        Some(None) => Err("has a beginning that is no time"),
        Some(Some(begin)) if begin > now.saturating_add(LEEWAY_SECONDS) => Err("is not valid yet"),
        Some(Some(_)) | None => Ok(until),
    }
}

/// NumericDate (RFC 7519, section 2) in whole seconds: it may have a fraction.
fn seconds(value: &Value) -> Option<u64> {
    let number = value.as_number()?;
    number.as_u64().or_else(|| number.as_f64().filter(|seconds| (0.0..=u32::MAX.into()).contains(seconds)).map(|seconds| seconds as u64))
}

/// The algorithm that goes with a public key: chosen by the key, never by the token.
fn algorithm(key: &Jwk) -> Option<Algorithm> {
    if key.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return None;
    }
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => match key.common.key_algorithm {
            None => Some(Algorithm::RS256),
            Some(named) => named.to_string().parse().ok().filter(|algorithm| {
                matches!(
                    algorithm,
                    Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 | Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512
                )
            }),
        },
        AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
            EllipticCurve::P256 => Some(Algorithm::ES256),
            EllipticCurve::P384 => Some(Algorithm::ES384),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => Some(Algorithm::EdDSA),
        _ => None,
    }
}
