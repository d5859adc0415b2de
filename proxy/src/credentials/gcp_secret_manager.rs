use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};
use keygress_policy::material::{MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::http::{Answer, Endpoint, bearer};
use super::lent::{self, Lent};
use super::stored::Picked;
use super::wire::{SecretText, Time};
use super::{Fetched, Provider, Purpose, Source, Tools, Work};

/// A secret of Google Cloud's Secret Manager. Static.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcpSecretManager {
    /// The provider of the token for the call, such as `gcp_workload_identity` or `gcp_metadata`.
    from: Box<Source>,
    /// The secret: `projects/PROJECT/secrets/NAME`, or `projects/PROJECT/locations/PLACE/secrets/NAME` for a regional one.
    secret: String,
    /// Which version of it: a number or an alias. Default `latest`.
    #[serde(default = "latest")]
    version: String,
    /// The field of the JSON object that the secret is. Default: the whole secret is the token.
    field: Option<String>,
    /// The field that holds the user name. Makes it a user and a password instead of a token.
    user_field: Option<String>,
    /// How long it may be used after it was read; it is read again at 80 % of this. Default `1h`.
    max_age: Option<Time>,
    /// The API. Default `https://secretmanager.googleapis.com`; a regional secret has its own.
    #[serde(default = "api")]
    api_url: String,
}

fn latest() -> String {
    "latest".to_owned()
}

fn api() -> String {
    "https://secretmanager.googleapis.com".to_owned()
}

#[derive(Deserialize)]
struct AccessResponse {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    data: SecretText,
}

impl GcpSecretManager {
    fn picked(&self) -> Picked<'_> {
        Picked { field: self.field.as_deref(), user_field: self.user_field.as_deref(), max_age: self.max_age }
    }
}

impl Provider for GcpSecretManager {
    fn kind(&self) -> &'static str {
        "gcp_secret_manager"
    }

    fn yields(&self) -> MaterialKind {
        self.picked().yields()
    }

    fn is_static(&self) -> bool {
        true
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = lent::complaints(self.kind(), &self.from, MaterialKind::Token, "gcp_metadata");
        complaints.extend(Endpoint::parse(&self.api_url).err());
        complaints.extend(self.picked().complaints());
        if !is_secret(&self.secret) {
            let help = "write it as `projects/PROJECT/secrets/NAME`".to_owned();
            complaints.push((format!("`{}` is no secret of Google Cloud", self.secret), help));
        }
        if !is_word(&self.version) {
            let help = "write a number, an alias or `latest`".to_owned();
            complaints.push((format!("`{}` is no version of a secret", self.version), help));
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
            answer.and_then(|answer| self.read(&answer)).map_err(|fault| format!("Secret Manager {fault}"))
        })
    }
}

impl GcpSecretManager {
    async fn ask(&self, tools: &Tools, token: &Secret) -> Result<Answer, String> {
        let endpoint = Endpoint::parse(&self.api_url)
            .and_then(|api| api.at(&format!("{}/v1/{}/versions/{}:access", api.base(), self.secret, self.version)));
        let endpoint = endpoint.map_err(|(message, _)| format!("cannot be called: {message}"))?;
        let token = bearer(token).ok_or_else(|| "was not called: the token fits no header".to_owned())?;
        tools.http.get(&endpoint, HeaderMap::from_iter([(AUTHORIZATION, token)])).await.map_err(|fault| fault.to_string())
    }

    fn read(&self, answer: &Answer) -> Result<Fetched, String> {
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err("answered 401: it does not take the token that `from` gave".to_owned()),
            StatusCode::FORBIDDEN => return Err("answered 403: keygress needs `secretmanager.versions.access` on this secret".to_owned()),
            StatusCode::NOT_FOUND => return Err("answered 404: there is no such secret or version".to_owned()),
            _ => return Err(answer.fault()),
        }
        let unread = |()| "answered 200, but not as its API says".to_owned();
        let AccessResponse { payload } = serde_json::from_slice(&answer.body).map_err(|_| unread(()))?;
        let SecretText(encoded) = payload.data;
        let text = Secret::new(BASE64_STANDARD.decode(encoded.expose()).map_err(|_| unread(()))?);
        self.picked().of_text(&text)
    }
}

fn is_secret(text: &str) -> bool {
    let parts: Vec<_> = text.split('/').collect();
    let named = matches!(parts.as_slice(), ["projects", _, "secrets", _] | ["projects", _, "locations", _, "secrets", _]);
    named && parts.into_iter().all(is_word)
}

/// One segment of a path, as it stands there. A project may be named after a domain.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte)) && text != "." && text != ".."
}
