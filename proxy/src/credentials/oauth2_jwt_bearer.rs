use std::path::Path;

use keygress_policy::material::{MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::oauth2::{Assertion, Auth, BEARER, Client, ClientSecret, Form, Target};
use super::{Fetched, Provider, Purpose, Tools, Work};

/// An access token for a JSON Web Token (RFC 7523, section 2.1), which is read or signed for every call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth2JwtBearer {
    /// The token endpoint. `https`, or plain `http` on loopback.
    token_url: String,
    /// The JWT: a `file`, a `self_signed_jwt`, a `kubernetes_token` or a `spiffe_jwt`.
    assertion: Assertion,
    /// The client identifier, where the issuer wants one beside the assertion.
    client_id: Option<String>,
    /// Where the client secret comes from; read for every call, so that it can be rotated.
    client_secret: Option<ClientSecret>,
    /// How the client authenticates. Default: `client_secret_basic` with a `client_secret`, else `none`.
    auth: Option<Auth>,
    /// The scopes to ask for. Default: what the issuer gives by itself.
    #[serde(default)]
    scope: Vec<String>,
    /// The `audience` parameter that some issuers want.
    audience: Option<String>,
    /// The resource that the token is for (RFC 8707): an absolute URI.
    resource: Option<String>,
    /// The revocation endpoint (RFC 7009). Without it a token lives on at the issuer until it expires.
    revocation_url: Option<String>,
}

impl Provider for Oauth2JwtBearer {
    fn kind(&self) -> &'static str {
        "oauth2_jwt_bearer"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        self.client().complaints().into_iter().chain(self.assertion.complaints()).chain(self.target().complaints()).collect()
    }

    fn variables(&self) -> Vec<&str> {
        self.client_secret.as_ref().map(ClientSecret::variables).unwrap_or_default()
    }

    fn reads(&self) -> Vec<&Path> {
        self.client().reads().into_iter().chain(self.assertion.reads()).collect()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let mut form = Form::of_grant("urn:ietf:params:oauth:grant-type:jwt-bearer");
            form.add("assertion", self.assertion.token(tools, purpose).await?.expose());
            self.target().add_to(&mut form);
            Ok(self.client().token(tools, form, BEARER).await?.fetched())
        })
    }

    fn revokes(&self) -> bool {
        self.revocation_url.is_some()
    }

    fn revoke<'a>(&'a self, tools: &'a Tools, handle: &'a Secret) -> Work<'a, Result<(), String>> {
        Box::pin(async move { self.client().revoke(tools, handle).await })
    }
}

impl Oauth2JwtBearer {
    fn client(&self) -> Client<'_> {
        Client {
            token_url: &self.token_url,
            revocation_url: self.revocation_url.as_ref(),
            id: self.client_id.as_ref(),
            secret: self.client_secret.as_ref(),
            auth: self.auth.as_ref(),
        }
    }

    fn target(&self) -> Target<'_> {
        Target { scope: &self.scope, audience: self.audience.as_ref(), resource: self.resource.as_ref() }
    }
}
