use std::path::Path;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use keygress_policy::material::{Material, MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::http::{Answer, Endpoint, bearer};
use super::jwt::end_of;
use super::oauth2::{Assertion, BEARER, Client, Form};
use super::wire::{Moment, SecretText};
use super::{Fetched, Provider, Purpose, Tools, Work, file};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A Google Cloud token by workload identity federation: the workload's own token is exchanged at the Security Token Service and, where a
/// service account is named, used to act as that.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcpWorkloadIdentity {
    /// The provider in the pool: `//iam.googleapis.com/projects/…/workloadIdentityPools/…/providers/…`.
    audience: String,
    /// The workload's own token: a `file`, such as a projected Kubernetes token, a `self_signed_jwt`, a `kubernetes_token` or a `spiffe_jwt`.
    subject: Assertion,
    /// The e-mail address of the service account to act as. Default: the federated identity itself.
    service_account: Option<String>,
    /// The scopes. Default: `https://www.googleapis.com/auth/cloud-platform`.
    scope: Option<Vec<String>>,
    /// Gives an ID token for this audience instead of an access token; needs `service_account`.
    id_token_audience: Option<String>,
    /// The Security Token Service. Default `https://sts.googleapis.com/v1/token`.
    #[serde(default = "sts")]
    sts_url: String,
    /// The IAM credentials API. Default `https://iamcredentials.googleapis.com`.
    #[serde(default = "iam")]
    iam_url: String,
}

fn sts() -> String {
    "https://sts.googleapis.com/v1/token".to_owned()
}

fn iam() -> String {
    "https://iamcredentials.googleapis.com".to_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessTokenResponse {
    access_token: SecretText,
    expire_time: Moment,
}

#[derive(Deserialize)]
struct IdTokenResponse {
    token: SecretText,
}

impl Provider for GcpWorkloadIdentity {
    fn kind(&self) -> &'static str {
        "gcp_workload_identity"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints: Vec<_> = [&self.sts_url, &self.iam_url].into_iter().filter_map(|url| Endpoint::parse(url).err()).collect();
        complaints.extend(self.subject.complaints());
        if !self.audience.starts_with("//iam.googleapis.com/") {
            complaints.push((
                format!("`{}` is no provider of a workload identity pool", self.audience),
                "write `//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`".to_owned(),
            ));
        }
        if self.service_account.as_ref().is_some_and(|account| !is_account(account)) {
            complaints.push((
                "`service_account` is no e-mail address".to_owned(),
                "write it as `NAME@PROJECT.iam.gserviceaccount.com`".to_owned(),
            ));
        }
        if self.id_token_audience.is_some() && self.service_account.is_none() {
            complaints.push(("an ID token is one of a service account".to_owned(), "name the `service_account`".to_owned()));
        }
        complaints
    }

    fn reads(&self) -> Vec<&Path> {
        self.subject.reads()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let mut form = Form::of_grant("urn:ietf:params:oauth:grant-type:token-exchange");
            form.add("audience", self.audience.as_bytes());
            // The scope of what acts as a service account is said when it does.
            let scope = if self.service_account.is_some() { cloud_platform() } else { self.scope() };
            form.add("scope", scope.join(" ").as_bytes());
            form.add("requested_token_type", ACCESS_TOKEN.as_bytes());
            form.add("subject_token_type", b"urn:ietf:params:oauth:token-type:jwt");
            form.add("subject_token", self.subject.token(tools, purpose).await?.expose());
            let client = Client { token_url: &self.sts_url, revocation_url: None, id: None, secret: None, auth: None };
            let token = client.token(tools, form, BEARER).await?;
            if token.issued_token_type.as_deref() != Some(ACCESS_TOKEN) {
                return Err("the token endpoint gave a token whose `issued_token_type` is not what was asked for".to_owned());
            }
            let federated = Fetched { handle: None, ..token.fetched() };
            match (&self.service_account, &federated.material) {
                (Some(account), Material::Token(token)) => self.act_as(tools, account, token).await,
                (Some(_) | None, _) => Ok(federated),
            }
        })
    }
}

impl GcpWorkloadIdentity {
    fn scope(&self) -> Vec<String> {
        self.scope.clone().unwrap_or_else(cloud_platform)
    }

    /// Acts as a service account.
    async fn act_as(&self, tools: &Tools, account: &str, token: &Secret) -> Result<Fetched, String> {
        let (verb, body) = match &self.id_token_audience {
            Some(audience) => ("generateIdToken", json!({ "audience": audience, "includeEmail": true })),
            None => ("generateAccessToken", json!({ "scope": self.scope() })),
        };
        let endpoint = Endpoint::parse(&self.iam_url)
            .and_then(|iam| iam.at(&format!("{}/v1/projects/-/serviceAccounts/{account}:{verb}", iam.base())))
            .map_err(|(message, _)| format!("the IAM credentials API cannot be called: {message}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer(token).ok_or_else(|| "the federated token fits no header".to_owned())?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = tools.http.post(&endpoint, headers, Zeroizing::new(body.to_string().into_bytes())).await;
        let answer = answer.map_err(|fault| format!("the IAM credentials API {fault}"))?;
        self.read(&answer).map_err(|fault| format!("the IAM credentials API {fault}"))
    }

    fn read(&self, answer: &Answer) -> Result<Fetched, String> {
        match answer.status {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err("answered 403: the federated identity may not act as this `service_account`".to_owned()),
            StatusCode::NOT_FOUND => return Err("answered 404: there is no such `service_account`".to_owned()),
            status if status.is_redirection() => return Err(format!("answered {}: redirects are not followed", status.as_u16())),
            status => return Err(format!("answered {}", status.as_u16())),
        }
        let unread = || "answered 200, but not as its API says".to_owned();
        let (token, lifetime): (Secret, Duration) = if self.id_token_audience.is_some() {
            let IdTokenResponse { token: SecretText(token) } = serde_json::from_slice(&answer.body).map_err(|_| unread())?;
            let end = end_of(&token).ok_or_else(unread)?;
            (token, answer.until(end))
        } else {
            let response: AccessTokenResponse = serde_json::from_slice(&answer.body).map_err(|_| unread())?;
            let (SecretText(token), Moment(end)) = (response.access_token, response.expire_time);
            (token, answer.until(end))
        };
        file::check(token.expose()).map_err(|_| "gave a token that is none".to_owned())?;
        if lifetime.is_zero() {
            return Err("gave a token that has expired already".to_owned());
        }
        Ok(Fetched { material: Material::Token(token), lifetime: Some(lifetime), handle: None })
    }
}

fn cloud_platform() -> Vec<String> {
    vec!["https://www.googleapis.com/auth/cloud-platform".to_owned()]
}

/// Whether this is an e-mail address that stands in a path as it is.
fn is_account(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte);
    text.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && domain.contains('.')) && text.bytes().all(plain)
}
