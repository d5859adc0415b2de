use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use keygress_policy::material::{Material, MaterialKind, Secret};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::http::{Answer, Endpoint};
use super::wire::{Seconds, SecretText};
use super::{Fetched, Provider, Purpose, Tools, Work, environment, file};

/// The life of a token whose issuer does not say how long it lives.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);

/// What `application/x-www-form-urlencoded` leaves as it is, besides letters and digits.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// The error codes that RFC 6749, RFC 7009 and RFC 8707 register: no other text of an issuer is ever repeated.
const ERROR_CODES: [&str; 11] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "access_denied",
    "server_error",
    "temporarily_unavailable",
    "unsupported_token_type",
];

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
    client_secret: ClientSecret,
    /// How the client authenticates. Default `client_secret_basic`.
    #[serde(default)]
    auth: Auth,
    /// The scopes to ask for. Default: what the issuer gives by itself.
    #[serde(default)]
    scope: Vec<String>,
    /// The `audience` parameter that some issuers want.
    audience: Option<String>,
    /// The resource that the token is for (RFC 8707): an absolute URI.
    resource: Option<String>,
    /// The revocation endpoint (RFC 7009). Without it a token lives on at the issuer until it expires.
    revocation_url: Option<String>,
}

/// Where the client secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ClientSecret {
    /// The path of a file that holds it alone, on one line.
    File(PathBuf),
    /// The name of an environment variable. For development only.
    Environment(String),
}

/// How the client authenticates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Auth {
    /// `Authorization: Basic`, with both parts form-encoded (RFC 6749, section 2.3.1).
    #[default]
    ClientSecretBasic,
    /// `client_id` and `client_secret` in the body.
    ClientSecretPost,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: Option<SecretText>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
}

#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
}

impl Provider for Oauth2ClientCredentials {
    fn kind(&self) -> &'static str {
        "oauth2_client_credentials"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let urls = std::iter::once(&self.token_url).chain(&self.revocation_url).filter_map(|url| Endpoint::parse(url).err());
        let secret = match &self.client_secret {
            ClientSecret::File(path) => file::complaint(path),
            ClientSecret::Environment(name) => environment::complaint(name),
        };
        let id = self.client_id.is_empty().then(|| ("`client_id` is empty".to_owned(), "write the id that the issuer gave".to_owned()));
        let scopes = self.scope.iter().filter(|scope| !is_scope(scope)).map(|scope| {
            (format!("`{scope}` is not one scope"), "write a list of scopes without spaces, such as `[read, write]`".to_owned())
        });
        let resource = self.resource.iter().filter(|resource| !is_resource(resource)).map(|resource| {
            (format!("`{resource}` is no absolute URI"), "write an URI without fragment, such as `https://api.example.com`".to_owned())
        });
        urls.chain(secret).chain(id).chain(scopes).chain(resource).collect()
    }

    fn variables(&self) -> Vec<&str> {
        match &self.client_secret {
            ClientSecret::File(_) => Vec::new(),
            ClientSecret::Environment(name) => vec![name],
        }
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let mut form = Form::default();
            form.add("grant_type", b"client_credentials");
            if !self.scope.is_empty() {
                form.add("scope", self.scope.join(" ").as_bytes());
            }
            for (name, value) in [("audience", &self.audience), ("resource", &self.resource)] {
                if let Some(value) = value {
                    form.add(name, value.as_bytes());
                }
            }
            let answer = self.call(tools, &self.token_url, form).await.map_err(|fault| format!("the token endpoint {fault}"))?;
            read_token(&answer)
        })
    }

    fn revokes(&self) -> bool {
        self.revocation_url.is_some()
    }

    fn revoke<'a>(&'a self, tools: &'a Tools, handle: &'a Secret) -> Work<'a, Result<(), String>> {
        Box::pin(async move {
            let url = self.revocation_url.as_ref().ok_or_else(|| "there is no `revocation_url`".to_owned())?;
            let mut form = Form::default();
            form.add("token", handle.expose());
            form.add("token_type_hint", b"access_token");
            let answer = self.call(tools, url, form).await.map_err(|fault| format!("the revocation endpoint {fault}"))?;
            // RFC 7009, section 2.2: 200 also for a token that the issuer no longer knows.
            if answer.status == StatusCode::OK { Ok(()) } else { Err(format!("the revocation endpoint answered {}", status(&answer))) }
        })
    }
}

impl Oauth2ClientCredentials {
    async fn call(&self, tools: &Tools, url: &str, mut form: Form) -> Result<Answer, String> {
        let endpoint = Endpoint::parse(url).map_err(|(message, _)| format!("cannot be called: {message}"))?;
        let secret = self.secret().await.map_err(|fault| format!("was not called: {fault}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        match self.auth {
            Auth::ClientSecretBasic => {
                headers.insert(AUTHORIZATION, basic(&self.client_id, &secret)?);
            }
            Auth::ClientSecretPost => {
                form.add("client_id", self.client_id.as_bytes());
                form.add("client_secret", secret.expose());
            }
        }
        tools.http.post(&endpoint, headers, form.0).await.map_err(|fault| fault.to_string())
    }

    async fn secret(&self) -> Result<Secret, String> {
        match &self.client_secret {
            ClientSecret::File(path) => file::read(path).await,
            ClientSecret::Environment(name) => environment::read(name),
        }
    }
}

/// A body of `application/x-www-form-urlencoded`.
#[derive(Default)]
struct Form(Zeroizing<Vec<u8>>);

impl Form {
    fn add(&mut self, name: &str, value: &[u8]) {
        // Grown by hand: a vector that grows by itself leaves a copy of what it held.
        let mut grown = Zeroizing::new(Vec::with_capacity(self.0.len() + name.len() + 3 * value.len() + 2));
        grown.extend_from_slice(&self.0);
        if !grown.is_empty() {
            grown.push(b'&');
        }
        grown.extend_from_slice(name.as_bytes());
        grown.push(b'=');
        percent_encode(value, FORM).for_each(|part| grown.extend_from_slice(part.as_bytes()));
        self.0 = grown;
    }
}

fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, String> {
    let mut pair = Zeroizing::new(String::with_capacity(3 * (id.len() + secret.len()) + 1));
    pair.extend(percent_encode(id.as_bytes(), FORM));
    pair.push(':');
    pair.extend(percent_encode(secret.expose(), FORM));
    let mut value = Zeroizing::new(String::with_capacity(6 + pair.len().div_ceil(3) * 4));
    value.push_str("Basic ");
    BASE64_STANDARD.encode_string(pair.as_bytes(), &mut value);
    let bytes = Bytes::from_owner(Zeroizing::new(std::mem::take(&mut *value).into_bytes()));
    let mut header = HeaderValue::from_maybe_shared(bytes).map_err(|_| "was not called: the client secret fits no header".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

fn read_token(answer: &Answer) -> Result<Fetched, String> {
    if answer.status != StatusCode::OK {
        return Err(format!("the token endpoint answered {}", status(answer)));
    }
    let Ok(TokenResponse { access_token, token_type, expires_in }) = serde_json::from_slice(&answer.body) else {
        return Err("the token endpoint answered 200, but not as RFC 6749, section 5.1, says".to_owned());
    };
    let Some(SecretText(token)) = access_token else {
        return Err("the token endpoint answered 200 without `access_token`".to_owned());
    };
    file::check(token.expose()).map_err(|_| "the token endpoint gave an `access_token` that is no token".to_owned())?;
    if !token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err("the token endpoint gave a token whose `token_type` is not `Bearer`".to_owned());
    }
    let lifetime = expires_in.map_or(LIFETIME_DEFAULT, |Seconds(seconds)| Duration::from_secs(seconds));
    if lifetime.is_zero() {
        return Err("the token endpoint gave a token that has expired already".to_owned());
    }
    let handle = Some(Secret::new(token.expose().to_vec()));
    Ok(Fetched { material: Material::Token(token), lifetime: Some(lifetime), handle })
}

/// The status of an answer, with its error code where that is a registered one.
fn status(answer: &Answer) -> String {
    let number = answer.status.as_u16();
    let code = serde_json::from_slice::<ErrorResponse>(&answer.body).ok();
    match code.and_then(|code| ERROR_CODES.into_iter().find(|known| *known == code.error)) {
        Some(code) => format!("{number} with `{code}`"),
        None if answer.status.is_redirection() => format!("{number}: redirects are not followed"),
        None => number.to_string(),
    }
}

/// RFC 8707, section 2.
fn is_resource(text: &str) -> bool {
    let is_scheme = |scheme: &str| scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// RFC 6749, section 3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}
