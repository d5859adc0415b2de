use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use keygress_policy::workload::Pod;
use serde::Deserialize;

/// How far the clocks of the cluster and of this machine may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 60;

/// The most of a token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Verifies service-account tokens of one cluster, as Kubernetes projects them into pods.
#[derive(Debug)]
pub struct Verifier {
    keys: JwkSet,
    issuer: String,
    audience: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    nbf: Option<u64>,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

/// The claim that says what the token is bound to.
#[derive(Deserialize)]
struct Bound {
    namespace: String,
    serviceaccount: Named,
    pod: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Verifier {
    /// Verifies with the keys of this JWKS document (the cluster's `/openid/v1/jwks`), for this issuer and audience.
    ///
    /// # Errors
    /// What is wrong with the document, or that nothing was named to check against.
    pub fn new(jwks: &str, issuer: &str, audience: &str) -> Result<Self, String> {
        let keys: JwkSet = serde_json::from_str(jwks).map_err(|error| format!("the key set cannot be read: {error}"))?;
        if issuer.is_empty() || audience.is_empty() {
            return Err("an issuer and an audience are needed to verify a service-account token".to_owned());
        }
        if !keys.keys.iter().any(|key| algorithm(key).is_some()) {
            return Err("the key set holds no public key that can sign a service-account token".to_owned());
        }
        Ok(Self { keys, issuer: issuer.to_owned(), audience: audience.to_owned() })
    }

    /// The pod to which a token was given.
    ///
    /// # Errors
    /// What is wrong with the token, never the token.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Pod, String> {
        let token = token.trim();
        if token.len() > TOKEN_BYTES_MAX {
            return Err("the service-account token is too long".to_owned());
        }
        let header = decode_header(token).map_err(|_| "the service-account token is not a JWT".to_owned())?;
        let key = match &header.kid {
            Some(kid) => self.keys.find(kid),
            None => None,
        }
        .ok_or("the service-account token was signed with a key that the key set does not hold")?;
        let algorithm = algorithm(key).ok_or("the key of the service-account token cannot be used to verify it")?;
        let key = DecodingKey::from_jwk(key).map_err(|error| format!("a key of the key set cannot be used: {error}"))?;
        let claims = decode::<Claims>(token, &key, &self.validation(algorithm))
            .map_err(|error| format!("the service-account token is refused: {error}"))?
            .claims;
        check_times(&claims, now)?;
        let Bound { namespace, serviceaccount, pod } = claims.kubernetes;
        if claims.sub != format!("system:serviceaccount:{namespace}:{}", serviceaccount.name) {
            return Err("the service-account token names two different accounts".to_owned());
        }
        Ok(Pod { namespace, service_account: serviceaccount.name, pod: pod.map(|pod| pod.name) })
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The library asks the clock itself; we are told the time.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation
    }
}

fn check_times(claims: &Claims, now: SystemTime) -> Result<(), String> {
    let now = now.duration_since(UNIX_EPOCH).map_err(|_| "the clock stands before 1970".to_owned())?.as_secs();
    if claims.exp.saturating_add(LEEWAY_SECONDS) <= now {
        return Err("the service-account token has expired".to_owned());
    }
    if claims.nbf.is_some_and(|nbf| nbf > now.saturating_add(LEEWAY_SECONDS)) {
        return Err("the service-account token is not valid yet".to_owned());
    }
    Ok(())
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
        _ => None,
    }
}
