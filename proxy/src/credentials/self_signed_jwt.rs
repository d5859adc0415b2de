use std::path::Path;

use keygress_policy::material::{Material, MaterialKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::jwt::SignedJwt;
use super::{Fetched, Provider, Purpose, Tools, Work};

/// A JSON Web Token that keygress signs itself, for an API that knows the public key. Nobody can revoke it: keep its life short.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SelfSignedJwt(SignedJwt);

impl Provider for SelfSignedJwt {
    fn kind(&self) -> &'static str {
        "self_signed_jwt"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        self.0.complaints()
    }

    fn reads(&self) -> Vec<&Path> {
        self.0.reads()
    }

    fn fetch<'a>(&'a self, _: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let token = self.0.sign(purpose).await?;
            Ok(Fetched { material: Material::Token(token), lifetime: Some(self.0.lifetime()), handle: None })
        })
    }
}
