use std::path::{Path, PathBuf};

use keygress_policy::material::{MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::oauth2::{Auth, BEARER, Client, ClientSecret, Form, Target};
use super::state::Successor;
use super::{Fetched, Provider, Purpose, Tools, Work, file};

/// An access token by a refresh token (RFC 6749, section 6). Where the issuer rotates the refresh token, keygress keeps the new one: it
/// replaces the file in one step, with mode 0600, before the access token is used.
///
/// All holders share the refresh token and take turns. Whoever authorises anew writes the file anew.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth2RefreshToken {
    /// The token endpoint. `https`, or plain `http` on loopback.
    token_url: String,
    /// The client identifier.
    client_id: String,
    /// Where the client secret comes from; read for every call, so that it can be rotated. A public client has none.
    client_secret: Option<ClientSecret>,
    /// How the client authenticates. Default: `client_secret_basic` with a `client_secret`, else `none`.
    auth: Option<Auth>,
    /// The path of the file that holds the refresh token alone, in a folder in which keygress may write.
    refresh_token_file: PathBuf,
    /// The scopes to ask for. Default: those that were authorised.
    #[serde(default)]
    scope: Vec<String>,
    /// The `audience` parameter that some issuers want.
    audience: Option<String>,
    /// The resource that the token is for (RFC 8707): an absolute URI.
    resource: Option<String>,
    /// The revocation endpoint (RFC 7009) for access tokens. Leave it out where the issuer ends the refresh token with them.
    revocation_url: Option<String>,
}

impl Provider for Oauth2RefreshToken {
    fn kind(&self) -> &'static str {
        "oauth2_refresh_token"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let file = file::complaint(&self.refresh_token_file);
        self.client().complaints().into_iter().chain(file).chain(self.target().complaints()).collect()
    }

    fn variables(&self) -> Vec<&str> {
        self.client_secret.as_ref().map(ClientSecret::variables).unwrap_or_default()
    }

    fn reads(&self) -> Vec<&Path> {
        self.client().reads().into_iter().chain([self.refresh_token_file.as_path()]).collect()
    }

    fn writes(&self) -> Vec<&Path> {
        vec![&self.refresh_token_file]
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let _turn = tools.turns.take(&self.refresh_token_file).await;
            let current = file::read(&self.refresh_token_file).await?;
            // Before the call: an issuer that rotates has ended the old token when it answers, and its answer must have a place.
            let successor = Successor::prepare(&self.refresh_token_file).await?;
            let mut form = Form::of_grant("refresh_token");
            form.add("refresh_token", current.expose());
            self.target().add_to(&mut form);
            let mut token = self.client().token(tools, form, BEARER).await?;
            if let Some(next) = token.refresh_token.take().filter(|next| !next.is(current.expose())) {
                successor.replace(next).await?;
            }
            Ok(token.fetched())
        })
    }

    fn may_be_dropped(&self) -> bool {
        false
    }

    fn revokes(&self) -> bool {
        self.revocation_url.is_some()
    }

    fn revoke<'a>(&'a self, tools: &'a Tools, handle: &'a Secret) -> Work<'a, Result<(), String>> {
        Box::pin(async move { self.client().revoke(tools, handle).await })
    }
}

impl Oauth2RefreshToken {
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
