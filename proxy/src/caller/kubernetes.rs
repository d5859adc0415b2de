use std::time::SystemTime;

use jsonwebtoken::jwk::JwkSet;
use keygress_policy::workload::Pod;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jwt::{self, Expected};

/// Verifies service-account tokens of one cluster, as Kubernetes projects them into pods.
#[derive(Debug)]
pub struct Verifier {
    keys: JwkSet,
    expected: Expected,
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
        let keys = jwt::keys(jwks)?;
        if issuer.is_empty() || audience.is_empty() {
            return Err("an issuer and an audience are needed to verify a service-account token".to_owned());
        }
        Ok(Self { keys, expected: Expected { issuer: issuer.to_owned(), audience: audience.to_owned() } })
    }

    /// The pod to which a token was given.
    ///
    /// # Errors
    /// What is wrong with the token, never the token.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Pod, String> {
        let claims = jwt::verify(token.trim(), &self.keys, &self.expected, now).map_err(jwt::Fault::why);
        claims.and_then(|claims| pod(&claims.all)).map_err(|why| format!("the service-account token {why}"))
    }
}

/// The pod that the verified claims of a service-account token name.
///
/// # Errors
/// Where they name none, or two; reads on from what the token is called.
pub(super) fn pod(claims: &Map<String, Value>) -> Result<Pod, &'static str> {
    let bound = claims.get("kubernetes.io").ok_or("has no claim kubernetes.io")?;
    let Bound { namespace, serviceaccount, pod } =
        Bound::deserialize(bound).map_err(|_| "has a claim kubernetes.io that names no account")?;
    let subject = claims.get("sub").and_then(Value::as_str);
    if subject != Some(&format!("system:serviceaccount:{namespace}:{}", serviceaccount.name)) {
        return Err("names two different accounts");
    }
    Ok(Pod { namespace, service_account: serviceaccount.name, pod: pod.map(|pod| pod.name) })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_750_000_000;

    /// A cluster's signing key.
    struct Signer {
        algorithm: Algorithm,
        key: EncodingKey,
    }

    impl Signer {
        fn ecdsa() -> Self {
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
            Self { algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(document.as_ref()) }
        }

        fn rsa() -> Self {
            let document = KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
            let pem = rcgen_pem(document.as_ref());
            Self { algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap() }
        }

        fn jwks(&self) -> String {
            let mut key = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
            key.common.key_id = Some("k1".to_owned());
            key.common.public_key_use = Some(PublicKeyUse::Signature);
            serde_json::to_string(&JwkSet { keys: vec![key] }).unwrap()
        }

        fn sign(&self, claims: &Value) -> String {
            let header = Header { kid: Some("k1".to_owned()), ..Header::new(self.algorithm) };
            encode(&header, claims, &self.key).unwrap()
        }

        fn verify(&self, token: &str) -> Result<Pod, String> {
            Verifier::new(&self.jwks(), "https://kubernetes.default.svc", "keygress").unwrap().verify(token, now())
        }
    }

    fn rcgen_pem(der: &[u8]) -> String {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    /// The claims of a projected token, as the API server issues them.
    fn claims() -> Value {
        json!({
            "aud": ["keygress"],
            "exp": NOW + 3600,
            "iat": NOW - 10,
            "iss": "https://kubernetes.default.svc",
            "jti": "aed34954-b33a-4142-b1ec-389d6bbb4936",
            "kubernetes.io": {
                "namespace": "shop",
                "node": { "name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1" },
                "pod": { "name": "billing-0", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3" },
                "serviceaccount": { "name": "billing", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798" },
                "warnafter": NOW + 3000
            },
            "nbf": NOW - 10,
            "sub": "system:serviceaccount:shop:billing"
        })
    }

    fn with(change: impl FnOnce(&mut Value)) -> Value {
        let mut claims = claims();
        change(&mut claims);
        claims
    }

    #[test]
    fn a_projected_token_proves_its_pod() {
        let pod = Pod { namespace: "shop".into(), service_account: "billing".into(), pod: Some("billing-0".into()) };
        for signer in [Signer::rsa(), Signer::ecdsa()] {
            assert_eq!(signer.verify(&signer.sign(&claims())), Ok(pod.clone()));
            assert_eq!(signer.verify(&format!("{}\n", signer.sign(&claims()))), Ok(pod.clone()));
        }
    }

    #[test]
    fn a_token_that_is_not_for_us_is_refused() {
        let signer = Signer::ecdsa();
        for (claims, why) in [
            (with(|claims| claims["aud"] = json!(["https://kubernetes.default.svc"])), "another audience"),
            (with(|claims| claims["iss"] = json!("https://other.test")), "another issuer"),
            (with(|claims| claims["exp"] = json!(NOW - 61)), "expired"),
            (with(|claims| claims["nbf"] = json!(NOW + 61)), "not valid yet"),
            (with(|claims| claims["sub"] = json!("system:serviceaccount:shop:admin")), "two different accounts"),
            (with(|claims| drop(claims.as_object_mut().unwrap().remove("kubernetes.io"))), "kubernetes.io"),
            (with(|claims| drop(claims.as_object_mut().unwrap().remove("exp"))), "lacks"),
            (with(|claims| drop(claims.as_object_mut().unwrap().remove("aud"))), "lacks"),
            (with(|claims| drop(claims.as_object_mut().unwrap().remove("iss"))), "lacks"),
        ] {
            let error = signer.verify(&signer.sign(&claims)).unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
    }

    #[test]
    fn a_token_that_another_key_signed_is_refused() {
        let (signer, other) = (Signer::ecdsa(), Signer::ecdsa());
        assert!(signer.verify(&other.sign(&claims())).is_err());
        assert!(signer.verify(&Signer::rsa().sign(&claims())).is_err());
        // The public key, taken for the secret of an HMAC.
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
        let forged = encode(&header, &claims(), &EncodingKey::from_secret(signer.jwks().as_bytes())).unwrap();
        assert!(signer.verify(&forged).is_err());
        let unnamed = encode(&Header::new(signer.algorithm), &claims(), &signer.key).unwrap();
        assert!(signer.verify(&unnamed).unwrap_err().contains("does not hold"));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let signer = Signer::ecdsa();
        let token = signer.sign(&claims());
        let unsigned = token.rsplit_once('.').unwrap().0;
        for bad in ["", "a.b.c", unsigned, &format!("{unsigned}."), &"x".repeat(super::jwt::TOKEN_BYTES_MAX + 1)] {
            assert!(signer.verify(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_verifier_with_nothing_to_check_against_is_refused() {
        let jwks = Signer::ecdsa().jwks();
        assert!(Verifier::new(&jwks, "", "keygress").is_err());
        assert!(Verifier::new(&jwks, "https://kubernetes.default.svc", "").is_err());
        assert!(Verifier::new("{}", "i", "a").is_err());
        assert!(Verifier::new("{\"keys\":[]}", "i", "a").unwrap_err().contains("no public key"));
        assert!(Verifier::new("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "i", "a").unwrap_err().contains("no public key"));
    }
}
