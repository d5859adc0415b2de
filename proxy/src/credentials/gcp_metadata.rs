use std::path::Path;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use keygress_policy::material::{Material, MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::http::{Answer, Endpoint};
use super::jwt::end_of;
use super::oauth2::{BEARER, Form, Token};
use super::{Fetched, Provider, Purpose, Tools, Work, file};

/// A token of the service account of the machine or pod, by the metadata server of Google Cloud.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcpMetadata {
    /// The service account. Default: the `default` one.
    service_account: Option<String>,
    /// The scopes to ask for. Default: those of the machine.
    #[serde(default)]
    scope: Vec<String>,
    /// Gives an ID token for this audience instead of an access token.
    id_token_audience: Option<String>,
    /// The metadata server. Default `http://metadata.google.internal`.
    #[serde(default = "server")]
    metadata_url: String,
}

fn server() -> String {
    "http://metadata.google.internal".to_owned()
}

impl Provider for GcpMetadata {
    fn kind(&self) -> &'static str {
        "gcp_metadata"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let account = self
            .service_account
            .iter()
            .filter(|account| account.is_empty() || account.contains(['/', '?', '#', '%']))
            .map(|account| (format!("`{account}` is no service account"), "write its e-mail address, or leave it out".to_owned()));
        Endpoint::metadata(&self.metadata_url).err().into_iter().chain(account).collect()
    }

    fn reads(&self) -> Vec<&Path> {
        Vec::new()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let account = self.service_account.as_deref().unwrap_or("default");
            let mut query = Form::default();
            let what = match &self.id_token_audience {
                Some(audience) => {
                    query.add("audience", audience.as_bytes());
                    "identity"
                }
                None => {
                    if !self.scope.is_empty() {
                        query.add("scopes", self.scope.join(",").as_bytes());
                    }
                    "token"
                }
            };
            let path = format!("/computeMetadata/v1/instance/service-accounts/{account}/{what}{}", query.as_query());
            let endpoint = Endpoint::metadata(&self.metadata_url).and_then(|server| server.at(&path));
            let endpoint = endpoint.map_err(|(message, _)| format!("the metadata server cannot be called: {message}"))?;
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static("metadata-flavor"), HeaderValue::from_static("Google"));
            let answer = tools.http.get(&endpoint, headers).await.map_err(|fault| format!("the metadata server {fault}"))?;
            if self.id_token_audience.is_some() {
                identity(&answer)
            } else {
                Ok(Fetched { handle: None, ..Token::read(&answer, BEARER, "metadata server")?.fetched() })
            }
        })
    }
}

/// An ID token comes bare.
fn identity(answer: &Answer) -> Result<Fetched, String> {
    if answer.status.as_u16() != 200 {
        return Err(format!("the metadata server answered {}", answer.status.as_u16()));
    }
    let token = Secret::new(answer.body.trim_ascii().to_vec());
    let end = file::check(token.expose()).ok().and_then(|()| end_of(&token));
    let lifetime = end.map(|end| answer.until(end)).filter(|lifetime| !lifetime.is_zero());
    let lifetime = lifetime.ok_or_else(|| "the metadata server gave an ID token that is none, or has expired already".to_owned())?;
    Ok(Fetched { material: Material::Token(token), lifetime: Some(lifetime), handle: None })
}
