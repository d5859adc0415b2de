use std::path::Path;

use keygress_policy::material::{MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::oauth2::{Auth, BEARER, Client, ClientSecret, Form, Target};
use super::{Fetched, Provider, Purpose, Tools, Work};

/// An access token by the client credentials grant (RFC 6749, section 4.4), fetched on first use, renewed before it expires and, where
/// there is a `revocation_url`, revoked when its task or keygress ends (RFC 7009).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth2ClientCredentials {
    /// The token endpoint. `https`, or plain `http` on loopback.
    token_url: String,
    /// The client identifier.
    client_id: String,
    /// Where the client secret comes from; read for every call, so that it can be rotated.
    client_secret: Option<ClientSecret>,
    /// How the client authenticates. Default `client_secret_basic`.
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
    /// Whether the token is bound to a key that keygress makes for it (RFC 9449), so that it can be put on as `dpop` alone. Default `false`.
    #[serde(default)]
    dpop: bool,
}

impl Provider for Oauth2ClientCredentials {
    fn kind(&self) -> &'static str {
        "oauth2_client_credentials"
    }

    fn yields(&self) -> MaterialKind {
        if self.dpop { MaterialKind::BoundToken } else { MaterialKind::Token }
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let nothing = self.client().is_public().then(|| {
            (
                "the client has no way to authenticate".to_owned(),
                "write `client_secret: { file: … }`, or another way under `auth`".to_owned(),
            )
        });
        self.client().complaints().into_iter().chain(nothing).chain(self.target().complaints()).collect()
    }

    fn variables(&self) -> Vec<&str> {
        self.client_secret.as_ref().map(ClientSecret::variables).unwrap_or_default()
    }

    fn reads(&self) -> Vec<&Path> {
        self.client().reads()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let form = || {
                let mut form = Form::of_grant("client_credentials");
                self.target().add_to(&mut form);
                form
            };
            if self.dpop {
                return self.client().bound_token(tools, form).await;
            }
            Ok(self.client().token(tools, form(), BEARER).await?.fetched())
        })
    }

    fn revokes(&self) -> bool {
        self.revocation_url.is_some()
    }

    fn revoke<'a>(&'a self, tools: &'a Tools, handle: &'a Secret) -> Work<'a, Result<(), String>> {
        Box::pin(async move { self.client().revoke(tools, handle).await })
    }
}

impl Oauth2ClientCredentials {
    fn client(&self) -> Client<'_> {
        Client {
            token_url: &self.token_url,
            revocation_url: self.revocation_url.as_ref(),
            id: Some(&self.client_id),
            secret: self.client_secret.as_ref(),
            auth: self.auth.as_ref(),
        }
    }

    fn target(&self) -> Target<'_> {
        Target { scope: &self.scope, audience: self.audience.as_ref(), resource: self.resource.as_ref() }
    }
}
