use std::path::Path;

use keygress_policy::material::{MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::oauth2::{Assertion, Auth, BEARER, BEARER_OR_NOT_APPLICABLE, Client, ClientSecret, Form, Target};
use super::{Fetched, Provider, Purpose, Tools, Work};

/// A token for another one, by token exchange (RFC 8693): the workload's own identity becomes one that the destination knows.
///
/// Audience, scope and resource are the policy's; nothing that a request says is sent to the issuer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth2TokenExchange {
    /// The token endpoint. `https`, or plain `http` on loopback.
    token_url: String,
    /// For whom the token is: a `file`, such as a projected Kubernetes token; a `self_signed_jwt`, which can name workload and task; a
    /// `kubernetes_token`; or a `spiffe_jwt`.
    subject: Assertion,
    /// What kind of token the subject is. Default `jwt`.
    #[serde(default)]
    subject_type: TokenType,
    /// Who acts for the subject, where the issuer wants to know: as `subject`.
    actor: Option<Assertion>,
    /// What kind of token the actor is. Default `jwt`.
    #[serde(default)]
    actor_type: TokenType,
    /// What kind of token to ask for. Another one that comes is refused. Default `access_token`.
    #[serde(default = "TokenType::access_token")]
    requested_type: TokenType,
    /// The client identifier, where the issuer wants one.
    client_id: Option<String>,
    /// Where the client secret comes from; read for every call, so that it can be rotated.
    client_secret: Option<ClientSecret>,
    /// How the client authenticates. Default: `client_secret_basic` with a `client_secret`, else `none`.
    auth: Option<Auth>,
    /// The scopes to ask for. Default: what the issuer gives by itself.
    #[serde(default)]
    scope: Vec<String>,
    /// The `audience`: the service for which the token is, by its name at the issuer.
    audience: Option<String>,
    /// The resource that the token is for (RFC 8707): an absolute URI.
    resource: Option<String>,
    /// The revocation endpoint (RFC 7009). Without it a token lives on at the issuer until it expires.
    revocation_url: Option<String>,
}

/// The kinds of tokens of RFC 8693, section 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TokenType {
    /// A JSON Web Token.
    #[default]
    Jwt,
    /// An access token of the issuer's own.
    AccessToken,
    /// An ID token of OpenID Connect.
    IdToken,
}

impl TokenType {
    fn access_token() -> Self {
        Self::AccessToken
    }

    fn uri(self) -> &'static str {
        match self {
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
        }
    }
}

impl Provider for Oauth2TokenExchange {
    fn kind(&self) -> &'static str {
        "oauth2_token_exchange"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let assertions = std::iter::once(&self.subject).chain(&self.actor).flat_map(Assertion::complaints);
        self.client().complaints().into_iter().chain(assertions).chain(self.target().complaints()).collect()
    }

    fn variables(&self) -> Vec<&str> {
        self.client_secret.as_ref().map(ClientSecret::variables).unwrap_or_default()
    }

    fn reads(&self) -> Vec<&Path> {
        let assertions = std::iter::once(&self.subject).chain(&self.actor).flat_map(Assertion::reads);
        self.client().reads().into_iter().chain(assertions).collect()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let mut form = Form::of_grant("urn:ietf:params:oauth:grant-type:token-exchange");
            form.add("subject_token", self.subject.token(tools, purpose).await?.expose());
            form.add("subject_token_type", self.subject_type.uri().as_bytes());
            if let Some(actor) = &self.actor {
                form.add("actor_token", actor.token(tools, purpose).await?.expose());
                form.add("actor_token_type", self.actor_type.uri().as_bytes());
            }
            form.add("requested_token_type", self.requested_type.uri().as_bytes());
            self.target().add_to(&mut form);
            let types = match self.requested_type {
                TokenType::AccessToken => BEARER,
                TokenType::Jwt | TokenType::IdToken => BEARER_OR_NOT_APPLICABLE,
            };
            let token = self.client().token(tools, form, types).await?;
            if token.issued_token_type.as_deref() != Some(self.requested_type.uri()) {
                return Err("the token endpoint gave a token whose `issued_token_type` is not what was asked for".to_owned());
            }
            Ok(token.fetched())
        })
    }

    fn revokes(&self) -> bool {
        self.revocation_url.is_some()
    }

    fn revoke<'a>(&'a self, tools: &'a Tools, handle: &'a Secret) -> Work<'a, Result<(), String>> {
        Box::pin(async move { self.client().revoke(tools, handle).await })
    }
}

impl Oauth2TokenExchange {
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
