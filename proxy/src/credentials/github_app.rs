use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use keygress_policy::material::{Material, MaterialKind, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use zeroize::Zeroizing;

use super::http::{Answer, Call, Endpoint, bearer};
use super::jwt::{Algorithm, SigningKey};
use super::wire::{Moment, SecretText};
use super::{Fetched, Provider, Purpose, Tools, Work};

/// GitHub takes no proof that lives longer than ten minutes; this one is used at once.
const PROOF_LIFETIME: Duration = Duration::from_secs(300);

/// Our clock may be ahead of GitHub's by so much, as its documentation advises.
const CLOCK_DRIFT_SECONDS: i64 = 60;

/// The version of the REST API for which this is written.
const API_VERSION: &str = "2022-11-28";

/// An installation token of a GitHub App, for the repositories and permissions that are named, revoked when its task or keygress ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GithubApp {
    /// The App's client id or number.
    app: String,
    /// The path of the App's private key in PEM.
    key_file: PathBuf,
    /// The number of the installation: the last part of its settings' address.
    installation: u64,
    /// The names of the repositories, without their owner. Default: all of the installation.
    #[serde(default)]
    repositories: Vec<String>,
    /// Required. What the token may do, such as `{ contents: read }`.
    permissions: BTreeMap<String, Access>,
    /// Where the REST API is. Default `https://api.github.com`; on GitHub Enterprise Server `https://HOST/api/v3`.
    #[serde(default = "public_api")]
    api_url: String,
}

/// What one permission allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Access {
    /// To read.
    Read,
    /// To read and write.
    Write,
    /// To administer.
    Admin,
}

fn public_api() -> String {
    "https://api.github.com".to_owned()
}

#[derive(Serialize)]
struct TokenRequest<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    repositories: &'a [String],
    permissions: &'a BTreeMap<String, Access>,
}

#[derive(Deserialize)]
struct TokenResponse {
    token: SecretText,
    expires_at: Moment,
}

impl Provider for GithubApp {
    fn kind(&self) -> &'static str {
        "github_app"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints: Vec<_> = Endpoint::parse(&self.api_url).err().into_iter().chain(self.key().complaint()).collect();
        if self.app.is_empty() {
            complaints.push(("`app` is empty".to_owned(), "write the client id of the App".to_owned()));
        }
        if self.permissions.is_empty() {
            complaints.push((
                "`permissions` is empty: the token could do all that the App can".to_owned(),
                "name what it may do, such as `{ contents: read }`".to_owned(),
            ));
        }
        for name in self.repositories.iter().filter(|name| name.is_empty() || name.contains('/')) {
            complaints.push((format!("`{name}` is not the name of a repository"), "write it without its owner".to_owned()));
        }
        complaints
    }

    fn reads(&self) -> Vec<&Path> {
        vec![&self.key_file]
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let issued_at = Timestamp::now().as_second() - CLOCK_DRIFT_SECONDS;
            let claims = Map::from_iter([("iss".to_owned(), self.app.as_str().into()), ("iat".to_owned(), issued_at.into())]);
            let proof = self.key().sign(claims, PROOF_LIFETIME).await?;
            let asked = TokenRequest { repositories: &self.repositories, permissions: &self.permissions };
            let body = serde_json::to_vec(&asked).map_err(|_| "what is asked for cannot be written as JSON".to_owned())?;
            let path = format!("/app/installations/{}/access_tokens", self.installation);
            let answer = self.call(tools, Method::POST, &path, &proof, body).await?;
            read(&answer)
        })
    }

    fn revokes(&self) -> bool {
        true
    }

    fn revoke<'a>(&'a self, tools: &'a Tools, handle: &'a Secret) -> Work<'a, Result<(), String>> {
        Box::pin(async move {
            let answer = self.call(tools, Method::DELETE, "/installation/token", handle, Vec::new()).await?;
            match answer.status {
                // 401: it no longer admits anything, as it should be.
                StatusCode::NO_CONTENT | StatusCode::UNAUTHORIZED => Ok(()),
                status => Err(format!("GitHub answered {} when the token was to be revoked", status.as_u16())),
            }
        })
    }
}

impl GithubApp {
    fn key(&self) -> SigningKey {
        SigningKey::new(self.key_file.clone(), Algorithm::RS256)
    }

    async fn call(&self, tools: &Tools, method: Method, path: &str, token: &Secret, body: Vec<u8>) -> Result<Answer, String> {
        let api = Endpoint::parse(&self.api_url).and_then(|api| api.at(&format!("{}{path}", api.base())));
        let endpoint = api.map_err(|(message, _)| format!("GitHub cannot be called: {message}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer(token).ok_or_else(|| "the token fits no header".to_owned())?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("x-github-api-version"), HeaderValue::from_static(API_VERSION));
        let call = Call { method, endpoint: &endpoint, headers, body: Zeroizing::new(body), identity: None, roots: None };
        tools.http.send(call).await.map_err(|fault| format!("GitHub {fault}"))
    }
}

fn read(answer: &Answer) -> Result<Fetched, String> {
    match answer.status {
        StatusCode::CREATED => {}
        StatusCode::UNAUTHORIZED => return Err("GitHub answered 401: `app` and `key_file` do not belong together".to_owned()),
        StatusCode::NOT_FOUND => return Err("GitHub answered 404: the App has no such `installation`".to_owned()),
        StatusCode::UNPROCESSABLE_ENTITY => {
            return Err("GitHub answered 422: the installation has not all these `repositories` and `permissions`".to_owned());
        }
        status if status.is_redirection() => return Err(format!("GitHub answered {}: redirects are not followed", status.as_u16())),
        status => return Err(format!("GitHub answered {}", status.as_u16())),
    }
    let Ok(TokenResponse { token: SecretText(token), expires_at: Moment(expires_at) }) = serde_json::from_slice(&answer.body) else {
        return Err("GitHub answered 201, but not as its REST API says".to_owned());
    };
    super::file::check(token.expose()).map_err(|_| "GitHub gave a `token` that is no token".to_owned())?;
    let lifetime = answer.until(expires_at);
    if lifetime.is_zero() {
        return Err("GitHub gave a token that has expired already".to_owned());
    }
    let handle = Some(Secret::new(token.expose().to_vec()));
    Ok(Fetched { material: Material::Token(token), lifetime: Some(lifetime), handle })
}
