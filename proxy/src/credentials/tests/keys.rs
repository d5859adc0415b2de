use std::path::PathBuf;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use rcgen::{KeyPair, SignatureAlgorithm};
use serde_json::Value;

use super::World;

/// A private key in a file of a world, and the public part that a verifier has.
pub(super) struct Key {
    pub(super) path: PathBuf,
    public: DecodingKey,
    algorithm: Algorithm,
}

impl Key {
    pub(super) fn es256(world: &World) -> Self {
        Self::of(world, "ES256")
    }

    /// A fresh key for this algorithm, by its name in a JWT.
    pub(super) fn of(world: &World, name: &str) -> Self {
        let (kind, algorithm): (&SignatureAlgorithm, _) = match name {
            "RS256" => (&rcgen::PKCS_RSA_SHA256, Algorithm::RS256),
            "PS256" => (&rcgen::PKCS_RSA_SHA256, Algorithm::PS256),
            "ES256" => (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
            "ES384" => (&rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
            "EdDSA" => (&rcgen::PKCS_ED25519, Algorithm::EdDSA),
            name => panic!("{name}"),
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        let file = format!("{name}.pem");
        world.write(&file, &pair.serialize_pem());
        let pem = pair.public_key_pem();
        let public = match name {
            "RS256" | "PS256" => DecodingKey::from_rsa_pem(pem.as_bytes()),
            "EdDSA" => DecodingKey::from_ed_pem(pem.as_bytes()),
            _ => DecodingKey::from_ec_pem(pem.as_bytes()),
        };
        Self { path: world.path(&file), public: public.unwrap(), algorithm }
    }

    /// The claims of a token that this key signed and that has not expired; and its `kid`.
    pub(super) fn verify(&self, token: &str) -> Option<(Value, Option<String>)> {
        let mut validation = Validation::new(self.algorithm);
        validation.validate_aud = false;
        let decoded = decode::<Value>(token, &self.public, &validation).ok()?;
        Some((decoded.claims, decoded.header.kid))
    }

    /// The shape of it in a policy.
    pub(super) fn yaml(&self) -> String {
        format!("{{ file: {}, algorithm: {:?}, id: k1 }}", self.path.display(), self.algorithm)
    }
}
