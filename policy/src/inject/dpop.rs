//! Demonstrating proof of possession (RFC 9449): a token that is worth nothing without a signature of the key that it is bound to.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::rendered::Signer;
use super::signing_key::SigningKey;
use super::{Existing, Heard, Inject, Payload, Rendered, Sending, rendered, slot};
use crate::material::{Material, MaterialKind, Secret};

static DPOP: HeaderName = HeaderName::from_static("dpop");
static DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The longest nonce of a server that is taken.
const NONCE_BYTES_MAX: usize = 512;

/// Puts a bound access token on, with a proof for each request. The key is made when the token is fetched, for one holder, and never leaves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// What happens to what the application sent in `authorization`. Default: `overwrite`. With `require_placeholder` the placeholder must
    /// stand there, as `DPoP` or as `Bearer`.
    #[serde(default)]
    pub existing: Existing,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct Dpop {
    existing: Existing,
}

/// Makes proofs with one key, and remembers the nonce that its server gave last.
pub struct Prover {
    key: SigningKey,
    /// Encoded, the same for every proof.
    header: String,
    nonce: RwLock<Option<String>>,
}

/// A token with what proves it.
#[derive(Debug)]
pub(super) struct Bound {
    prover: Prover,
    authorization: http::HeaderValue,
    /// The hash of the token, encoded.
    ath: String,
}

impl fmt::Debug for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prover(…)")
    }
}

/// What a proof is for.
#[derive(Clone, Copy, Debug)]
pub struct Proving<'p> {
    /// The method.
    pub method: &'p str,
    /// The URL without query and fragment.
    pub url: &'p str,
    /// The time.
    pub now: Timestamp,
    /// Bytes that were never there before.
    pub nonce: [u8; 16],
}

impl Prover {
    /// A prover with a private key on P-256 in DER.
    ///
    /// # Errors
    /// Where it is none.
    pub fn new(key: &Secret) -> Result<Self, String> {
        let key = SigningKey::p256(key)?;
        let (x, y) = key.point().ok_or("its private key is not on P-256")?;
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) });
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        Ok(Self { header: URL_SAFE_NO_PAD.encode(header.to_string()), key, nonce: RwLock::default() })
    }

    /// A proof for one request; `ath` is the hash of the token that goes with it, if there is one.
    ///
    /// # Errors
    /// Where it cannot be signed.
    pub fn proof(&self, proving: Proving<'_>, ath: Option<&str>) -> Result<String, String> {
        let mut claims = json!({
            "jti": URL_SAFE_NO_PAD.encode(proving.nonce),
            "htm": proving.method,
            "htu": proving.url,
            "iat": proving.now.as_second(),
        });
        if let Some(claims) = claims.as_object_mut() {
            claims.extend(ath.map(|ath| ("ath".to_owned(), ath.into())));
            let nonce = self.nonce.read().unwrap_or_else(PoisonError::into_inner);
            claims.extend(nonce.iter().map(|nonce| ("nonce".to_owned(), nonce.clone().into())));
        }
        let mut proof = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(proof.as_bytes())?);
        proof.push('.');
        proof.push_str(&signature);
        Ok(proof)
    }

    /// Takes the nonce that an answer gives; whether it gave one that was not known.
    pub fn takes_nonce(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(&DPOP_NONCE).iter();
        let (Some(nonce), None) = (given.next().and_then(|nonce| nonce.to_str().ok()), given.next()) else { return false };
        // NQCHAR of RFC 6749: nothing that JSON or a header would have to escape.
        let plain = nonce.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
        if !plain || nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX {
            return false;
        }
        let mut known = self.nonce.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = known.as_deref() != Some(nonce);
        *known = Some(nonce.to_owned());
        is_new
    }
}

impl Dpop {
    pub(super) fn compile(shape: &Shape) -> Self {
        Self { existing: shape.existing }
    }
}

impl Inject for Dpop {
    fn takes(&self) -> MaterialKind {
        MaterialKind::BoundToken
    }

    fn existing(&self) -> Existing {
        self.existing
    }

    fn owns_header(&self, name: &HeaderName) -> bool {
        slot::is_spelling_of(name, &AUTHORIZATION) || slot::is_spelling_of(name, &DPOP)
    }

    fn owns_query_key(&self, _key: &str) -> bool {
        false
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        let Material::BoundToken { token, key } = material else {
            return Err("it is no token that is bound to a key".to_owned());
        };
        rendered::refuse_unprintable(token.expose())?;
        rendered::refuse_outer_space(token.expose())?;
        let authorization = rendered::sensitive(&zeroize::Zeroizing::new([b"DPoP ", token.expose()].concat()))?;
        let ath = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.expose()));
        let bound = Bound { prover: Prover::new(key)?, authorization, ath };
        let needles = [token, key].map(|secret| Secret::new(secret.expose().to_vec())).into();
        Ok(Rendered { signer: Some(Signer::Dpop(Box::new(bound))), needles, ..Rendered::default() })
    }

    fn occupied(&self, head: &Parts) -> bool {
        [&AUTHORIZATION, &DPOP].iter().any(|name| slot::occupied(&head.headers, name))
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        let Some(value) = slot::only(&head.headers, &AUTHORIZATION) else { return false };
        let (scheme, token) = value
            .as_bytes()
            .split_at_checked(value.as_bytes().iter().position(|byte| *byte == b' ').unwrap_or_default())
            .unwrap_or_default();
        (scheme.eq_ignore_ascii_case(b"dpop") || scheme.eq_ignore_ascii_case(b"bearer")) && placeholder.is(token.trim_ascii())
    }

    fn hear(&self, rendered: &Rendered, status: StatusCode, headers: &HeaderMap) -> Heard {
        let Some(Signer::Dpop(bound)) = &rendered.signer else { return Heard::Nothing };
        let is_new = bound.prover.takes_nonce(headers);
        // RFC 9449, section 9. Only a nonce that the proof did not have makes another attempt worth it.
        let wanted = status == StatusCode::UNAUTHORIZED
            && headers
                .get_all(WWW_AUTHENTICATE)
                .iter()
                .any(|value| value.to_str().is_ok_and(|text| text.contains("DPoP") && text.contains("error=\"use_dpop_nonce\"")));
        if is_new && wanted { Heard::Again } else { Heard::Nothing }
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, sending: &Sending<'_>) -> Result<Payload, String> {
        let Some(Signer::Dpop(bound)) = &rendered.signer else {
            return Err("the credential was rendered for another injection".to_owned());
        };
        let url = format!("{}://{}{}", sending.scheme.as_str(), sending.authority, head.uri.path());
        let proving = Proving { method: head.method.as_str(), url: &url, now: sending.now, nonce: (sending.nonce)() };
        let proof = rendered::sensitive(bound.prover.proof(proving, Some(&bound.ath))?.as_bytes())?;
        slot::put(&mut head.headers, vec![(AUTHORIZATION, bound.authorization.clone()), (DPOP.clone(), proof)])
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey};
    use serde_json::Value;

    use super::super::tests::{head, injection, sending, token};
    use super::super::{Heard, Injection};
    use super::*;

    fn bound() -> Material {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Material::BoundToken {
            token: Secret::new(b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU".to_vec()),
            key: Secret::new(key.as_ref().to_vec()),
        }
    }

    fn decoded(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    /// Header and claims of a proof whose signature holds.
    fn verified(head: &Parts) -> (Value, Value) {
        let values: Vec<_> = head.headers.get_all("dpop").iter().collect();
        assert_eq!(values.len(), 1);
        let proof = values[0].to_str().unwrap();
        let (signed, signature) = proof.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let header = decoded(header);
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(header["jwk"][name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).unwrap();
        (header, decoded(claims))
    }

    fn answered(injection: &Injection, rendered: &Rendered, status: u16, headers: &[(&str, &str)]) -> Heard {
        let head = head("/", headers);
        injection.hear(rendered, StatusCode::from_u16(status).unwrap(), &head.headers)
    }

    /// The token and its hash are those of RFC 9449, section 7.1.
    #[test]
    fn a_proof_is_for_one_request_and_this_token() {
        let injection = injection("dpop");
        let rendered = injection.render(&bound()).unwrap();
        let mut head = head("/protected/resource?a=1", &[("authorization", "Bearer mine"), ("dpop", "mine"), ("DPoP", "again")]);
        injection.act(&mut head, &rendered, &sending()).unwrap();
        assert_eq!(head.headers.get_all("authorization").iter().collect::<Vec<_>>(), ["DPoP Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"]);
        let (header, claims) = verified(&head);
        assert_eq!((header["typ"].as_str(), header["alg"].as_str()), (Some("dpop+jwt"), Some("ES256")));
        assert_eq!(header["jwk"].as_object().unwrap().len(), 4, "no private part");
        assert_eq!(
            claims,
            json!({
                "jti": "BwcHBwcHBwcHBwcHBwcHBw", "htm": "GET", "htu": "https://h.test/protected/resource", "iat": 1_767_225_600,
                "ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
            })
        );
    }

    #[test]
    fn the_nonce_of_the_server_is_taken_and_asks_for_one_more_attempt_only_where_it_is_new() {
        let injection = injection("dpop");
        let rendered = injection.render(&bound()).unwrap();
        let wants = ("www-authenticate", "DPoP error=\"use_dpop_nonce\", error_description=\"…\"".replace('…', "x"));
        let wants = (wants.0, wants.1.as_str());
        assert!(matches!(answered(&injection, &rendered, 401, &[wants, ("dpop-nonce", "eyJ7S_zG")]), Heard::Again));
        assert!(matches!(answered(&injection, &rendered, 401, &[wants, ("dpop-nonce", "eyJ7S_zG")]), Heard::Nothing));
        let mut head = head("/", &[]);
        injection.act(&mut head, &rendered, &sending()).unwrap();
        assert_eq!(verified(&head).1["nonce"], "eyJ7S_zG");
        for (status, headers) in [
            (200, &[("dpop-nonce", "next-1")][..]),
            (401, &[("dpop-nonce", "next-2")]),
            (401, &[wants]),
            (401, &[wants, ("dpop-nonce", "a\"b")]),
            (401, &[wants, ("dpop-nonce", "one"), ("dpop-nonce", "two")]),
        ] {
            assert!(matches!(answered(&injection, &rendered, status, headers), Heard::Nothing), "{headers:?}");
        }
        injection.act(&mut head, &rendered, &sending()).unwrap();
        assert_eq!(verified(&head).1["nonce"], "next-2", "an answer that is no challenge gives the next one too");
    }

    #[test]
    fn the_placeholder_stands_where_the_token_will() {
        let injection = injection("dpop: { existing: require_placeholder }");
        let placeholder = Secret::new(b"ph".to_vec());
        for (value, admitted) in [("DPoP ph", true), ("bearer ph", true), ("Basic ph", false), ("DPoP other", false), ("ph", false)] {
            assert_eq!(injection.admit(&head("/", &[("authorization", value)]), Some(&placeholder)).is_ok(), admitted, "{value}");
        }
    }

    #[test]
    fn it_takes_a_bound_token_and_shows_nothing_of_it() {
        let injection = injection("dpop");
        assert!(injection.render(&token("t")).is_err());
        assert!(injection.render(&Material::BoundToken { token: Secret::new(b"t".to_vec()), key: Secret::new(b"k".to_vec()) }).is_err());
        let rendered = injection.render(&bound()).unwrap();
        assert!(!format!("{rendered:?}").contains("Kz~8") && rendered.needles().len() == 2);
    }
}
