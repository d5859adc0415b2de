use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::{Method, StatusCode};
use keygress_policy::material::{Material, MaterialKind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::http::Answer;
use super::kubernetes::{self, Api};
use super::wire::{Moment, SecretText, Time};
use super::{Fetched, Provider, Purpose, Tools, Work, file};

/// Kubernetes issues no shorter-lived token.
const LIFETIME_MIN: Duration = Duration::from_secs(600);

const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// A token of a Kubernetes service account for an audience, by the TokenRequest API. Kubernetes cannot revoke it: keep its life short.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesToken {
    /// The namespace of the service account.
    namespace: String,
    /// The service account.
    service_account: String,
    /// For whom the token is.
    audience: String,
    /// How long it lives, between `10m` and `24h`. Default `10m`.
    lifetime: Option<Time>,
    /// The API server. Default `https://kubernetes.default.svc`.
    #[serde(default = "kubernetes::url")]
    api_url: String,
    /// The path of keygress's own token for the API server. Default: where a pod has it.
    #[serde(default = "kubernetes::own_token")]
    token_file: PathBuf,
    /// The path of the certificates that verify the API server. Default: where a pod has them.
    #[serde(default = "kubernetes::authorities")]
    ca_file: PathBuf,
}

#[derive(Deserialize)]
struct TokenResponse {
    status: TokenStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenStatus {
    token: SecretText,
    expiration_timestamp: Moment,
}

impl Provider for KubernetesToken {
    fn kind(&self) -> &'static str {
        "kubernetes_token"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = self.api().complaints();
        complaints.extend(kubernetes::name_complaints([&self.namespace, &self.service_account]));
        if self.audience.is_empty() {
            complaints
                .push(("`audience` is empty: the token would open the API server itself".to_owned(), "write for whom it is".to_owned()));
        }
        if self.lifetime() < LIFETIME_MIN || self.lifetime() > LIFETIME_MAX {
            complaints.push(("`lifetime` is not between 10 minutes and 24 hours".to_owned(), "write a time such as `10m`".to_owned()));
        }
        complaints
    }

    fn reads(&self) -> Vec<&Path> {
        vec![&self.token_file, &self.ca_file]
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let path = format!("/api/v1/namespaces/{}/serviceaccounts/{}/token", self.namespace, self.service_account);
            let spec = json!({ "audiences": [self.audience], "expirationSeconds": self.lifetime().as_secs() });
            let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec }).to_string();
            let answer = self.api().call(tools, Method::POST, &path, Some(body)).await?;
            read(&answer).map_err(|fault| format!("the API server {fault}"))
        })
    }
}

impl KubernetesToken {
    fn api(&self) -> Api<'_> {
        Api { url: &self.api_url, token_file: &self.token_file, ca_file: &self.ca_file }
    }

    fn lifetime(&self) -> Duration {
        self.lifetime.map_or(LIFETIME_MIN, |Time(lifetime)| lifetime)
    }
}

fn read(answer: &Answer) -> Result<Fetched, String> {
    match answer.status {
        StatusCode::CREATED => {}
        StatusCode::UNAUTHORIZED => return Err("answered 401: it does not know the token in `token_file`".to_owned()),
        StatusCode::FORBIDDEN => {
            return Err("answered 403: keygress needs the verb `create` on `serviceaccounts/token` for this account".to_owned());
        }
        StatusCode::NOT_FOUND => return Err("answered 404: there is no such service account".to_owned()),
        _ => return Err(answer.fault()),
    }
    let Ok(TokenResponse { status }) = serde_json::from_slice(&answer.body) else {
        return Err("answered 201, but not as its API says".to_owned());
    };
    let (SecretText(token), Moment(end)) = (status.token, status.expiration_timestamp);
    file::check(token.expose()).map_err(|_| "gave a token that is none".to_owned())?;
    let lifetime = answer.until(end);
    if lifetime.is_zero() {
        return Err("gave a token that has expired already".to_owned());
    }
    Ok(Fetched { material: Material::Token(token), lifetime: Some(lifetime), handle: None })
}
