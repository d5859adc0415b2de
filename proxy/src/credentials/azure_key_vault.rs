use std::path::{Path, PathBuf};

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use keygress_policy::material::{MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::http::{Answer, Endpoint, bearer};
use super::lent::{self, Lent};
use super::stored::Picked;
use super::wire::{SecretText, Time};
use super::{Fetched, Provider, Purpose, Source, Tools, Work};

/// The version of the API for which this is written.
const API_VERSION: &str = "7.4";

/// A secret of Azure Key Vault. Static.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureKeyVault {
    /// The provider of the token for the call, such as `azure_managed_identity` with the resource `https://vault.azure.net`.
    from: Box<Source>,
    /// The vault, such as `https://acme.vault.azure.net`.
    vault_url: String,
    /// The name of the secret.
    secret: String,
    /// Which version of it. Default: the current one.
    version: Option<String>,
    /// The field of the JSON object that the secret is. Default: the whole secret is the token.
    field: Option<String>,
    /// The field that holds the user name. Makes it a user and a password instead of a token.
    user_field: Option<String>,
    /// How long it may be used after it was read, and never after the end that the vault has for it; it is read again at 80 % of this.
    /// Default `1h`.
    max_age: Option<Time>,
}

#[derive(Deserialize)]
struct SecretBundle {
    value: SecretText,
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
struct Attributes {
    exp: Option<i64>,
}

impl AzureKeyVault {
    fn picked(&self) -> Picked<'_> {
        Picked { field: self.field.as_deref(), user_field: self.user_field.as_deref(), max_age: self.max_age }
    }
}

impl Provider for AzureKeyVault {
    fn kind(&self) -> &'static str {
        "azure_key_vault"
    }

    fn yields(&self) -> MaterialKind {
        self.picked().yields()
    }

    fn is_static(&self) -> bool {
        true
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = lent::complaints(self.kind(), &self.from, MaterialKind::Token, "azure_managed_identity");
        complaints.extend(Endpoint::parse(&self.vault_url).err());
        complaints.extend(self.picked().complaints());
        for name in std::iter::once(&self.secret).chain(&self.version).filter(|name| !is_name(name)) {
            let help = "write letters, digits and `-`".to_owned();
            complaints.push((format!("`{name}` is no name in a key vault"), help));
        }
        complaints
    }

    fn files(&self) -> Vec<PathBuf> {
        self.from.provider().files()
    }

    fn reads(&self) -> Vec<&Path> {
        self.from.provider().reads()
    }

    fn writes(&self) -> Vec<&Path> {
        self.from.provider().writes()
    }

    fn programs(&self) -> Vec<&[String]> {
        self.from.provider().programs()
    }

    fn variables(&self) -> Vec<&str> {
        self.from.provider().variables()
    }

    fn may_be_dropped(&self) -> bool {
        self.from.provider().may_be_dropped()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async move {
            let lent = Lent::from(&self.from, tools, purpose).await?;
            let answer = self.ask(tools, lent.token()?).await;
            lent.end(tools).await;
            answer.and_then(|answer| self.read(&answer)).map_err(|fault| format!("the key vault {fault}"))
        })
    }
}

impl AzureKeyVault {
    async fn ask(&self, tools: &Tools, token: &Secret) -> Result<Answer, String> {
        let version = self.version.as_ref().map(|version| format!("/{version}")).unwrap_or_default();
        let endpoint = Endpoint::parse(&self.vault_url)
            .and_then(|vault| vault.at(&format!("{}/secrets/{}{version}?api-version={API_VERSION}", vault.base(), self.secret)));
        let endpoint = endpoint.map_err(|(message, _)| format!("cannot be called: {message}"))?;
        let token = bearer(token).ok_or_else(|| "was not called: the token fits no header".to_owned())?;
        tools.http.get(&endpoint, HeaderMap::from_iter([(AUTHORIZATION, token)])).await.map_err(|fault| fault.to_string())
    }

    fn read(&self, answer: &Answer) -> Result<Fetched, String> {
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err("answered 401: it does not take the token that `from` gave".to_owned()),
            StatusCode::FORBIDDEN => return Err("answered 403: keygress needs to `get` this secret, which must be enabled".to_owned()),
            StatusCode::NOT_FOUND => return Err("answered 404: there is no such secret or version".to_owned()),
            _ => return Err(answer.fault()),
        }
        let Ok(SecretBundle { value: SecretText(text), attributes }) = serde_json::from_slice(&answer.body) else {
            return Err("answered 200, but not as its API says".to_owned());
        };
        let mut fetched = self.picked().of_text(&text)?;
        if let Some(end) = attributes.and_then(|attributes| attributes.exp) {
            let left = answer.until(Timestamp::from_second(end).unwrap_or(Timestamp::MAX));
            if left.is_zero() {
                return Err("holds a secret that has expired".to_owned());
            }
            fetched.lifetime = fetched.lifetime.map(|lifetime| lifetime.min(left));
        }
        Ok(fetched)
    }
}

fn is_name(text: &str) -> bool {
    (1..=127).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
