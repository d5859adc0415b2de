use std::path::Path;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use keygress_policy::material::MaterialKind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::http::Endpoint;
use super::oauth2::{BEARER, Form, Token};
use super::{Fetched, Provider, Purpose, Tools, Work};

/// The version of the metadata service for which this is written.
const API_VERSION: &[u8] = b"2018-02-01";

/// An access token of the managed identity of an Azure machine, by its instance metadata service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureManagedIdentity {
    /// What the token is for, such as `https://vault.azure.net`.
    resource: String,
    /// The client id of a user-assigned identity. Default: the one of the machine.
    client_id: Option<String>,
    /// The metadata service. Default `http://169.254.169.254`.
    #[serde(default = "service")]
    metadata_url: String,
}

fn service() -> String {
    "http://169.254.169.254".to_owned()
}

impl Provider for AzureManagedIdentity {
    fn kind(&self) -> &'static str {
        "azure_managed_identity"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let resource = self
            .resource
            .is_empty()
            .then(|| ("`resource` is empty".to_owned(), "write what the token is for, such as `https://vault.azure.net`".to_owned()));
        Endpoint::metadata(&self.metadata_url).err().into_iter().chain(resource).collect()
    }

    fn reads(&self) -> Vec<&Path> {
        Vec::new()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let mut query = Form::default();
            query.add("api-version", API_VERSION);
            query.add("resource", self.resource.as_bytes());
            if let Some(id) = &self.client_id {
                query.add("client_id", id.as_bytes());
            }
            let path = format!("/metadata/identity/oauth2/token{}", query.as_query());
            let endpoint = Endpoint::metadata(&self.metadata_url).and_then(|service| service.at(&path));
            let endpoint = endpoint.map_err(|(message, _)| format!("the metadata service cannot be called: {message}"))?;
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static("metadata"), HeaderValue::from_static("true"));
            let answer = tools.http.get(&endpoint, headers).await.map_err(|fault| format!("the metadata service {fault}"))?;
            Ok(Fetched { handle: None, ..Token::read(&answer, BEARER, "metadata service")?.fetched() })
        })
    }
}
