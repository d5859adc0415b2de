//! An OAuth2 token issuer: client credentials (RFC 6749), revocation (RFC 7009) and introspection (RFC 7662).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;

use super::application;
use super::upstream::{self, Answer};
use super::world::Tokens;

/// How long a token lives: short, so that its renewal can be watched.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(2);

/// The longest form that is read.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// The client that the issuer knows.
pub(super) const CLIENT_ID: &str = "keygress-demo";

/// What the issuer knows. Cheap to clone.
#[derive(Clone)]
pub(super) struct Issuer {
    client_secret: Arc<str>,
    tokens: Arc<Mutex<BTreeMap<String, Token>>>,
}

/// One token that was issued.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    /// When it was issued.
    pub(super) issued: Instant,
    revoked: bool,
}

impl Token {
    /// When it ends by itself.
    pub(super) fn expires(&self) -> Instant {
        self.issued + TOKEN_LIFETIME
    }

    fn is_active(&self) -> bool {
        !self.revoked && Instant::now() < self.expires()
    }
}

impl Issuer {
    /// An issuer that knows one client by this secret.
    pub(super) fn new(client_secret: &str) -> Self {
        Self { client_secret: client_secret.into(), tokens: Arc::default() }
    }

    /// Whether a token may be used now.
    pub(super) fn is_active(&self, token: &str) -> bool {
        self.token(token).is_some_and(|token| token.is_active())
    }

    /// What is known of a token.
    pub(super) fn token(&self, token: &str) -> Option<Token> {
        self.lock().get(token).copied()
    }

    /// Answers one request.
    pub(super) async fn respond(self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let Ok(form) = Limited::new(body, FORM_BYTES_MAX).collect().await else {
            return refuse(StatusCode::BAD_REQUEST, "invalid_request");
        };
        let form = Form::parse(&form.to_bytes());
        if !self.knows(&head.headers, &form) {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        match head.uri.path() {
            "/token" if form.value("grant_type") == Some("client_credentials") => self.issue(),
            "/revoke" => self.revoke(form.value("token")),
            "/introspect" => {
                let active = form.value("token").is_some_and(|token| self.is_active(token));
                upstream::json(StatusCode::OK, &json!({ "active": active }))
            }
            _ => refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        }
    }

    fn issue(&self) -> Answer {
        let mut random = [0; 24];
        if aws_lc_rs::rand::fill(&mut random).is_err() {
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, "server_error");
        }
        let token = format!("demo_{}", URL_SAFE_NO_PAD.encode(random));
        self.lock().insert(token.clone(), Token { issued: Instant::now(), revoked: false });
        let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFETIME.as_secs() });
        upstream::json(StatusCode::OK, &answer)
    }

    /// RFC 7009: the answer is 200 also where the token is unknown.
    fn revoke(&self, token: Option<&str>) -> Answer {
        if let Some(token) = self.lock().get_mut(token.unwrap_or_default()) {
            token.revoked = true;
        }
        upstream::json(StatusCode::OK, &json!({}))
    }

    /// Whether the client proved itself, by Basic or in the form.
    fn knows(&self, headers: &http::HeaderMap, form: &Form) -> bool {
        let basic = STANDARD.encode(format!("{CLIENT_ID}:{}", self.client_secret));
        let by_header = headers.get(header::AUTHORIZATION).is_some_and(|value| *value == format!("Basic {basic}"));
        let by_form = form.value("client_id") == Some(CLIENT_ID) && form.value("client_secret") == Some(&*self.client_secret);
        by_header || by_form
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(status: StatusCode, error: &str) -> Answer {
    upstream::json(status, &json!({ "error": error }))
}

struct Form(BTreeMap<String, String>);

impl Form {
    fn parse(body: &Bytes) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// Asks the issuer what it says of a token, as any resource server would (RFC 7662).
///
/// # Errors
/// Where the issuer cannot be reached.
pub(super) async fn introspect(issuer: &Tokens, token: &str) -> anyhow::Result<String> {
    post(issuer, "/introspect", &[("token", token)]).await
}

async fn post(issuer: &Tokens, path: &str, form: &[(&str, &str)]) -> anyhow::Result<String> {
    let connector = application::trusting(&issuer.authority_pem)?;
    let stream = TcpStream::connect(issuer.upstream.address).await?;
    let stream = connector.connect(ServerName::try_from(issuer.upstream.host)?, stream).await?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    let proof = STANDARD.encode(format!("{CLIENT_ID}:{}", issuer.client_secret));
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = Request::post(path)
        .header(header::HOST, issuer.upstream.host)
        .header(header::AUTHORIZATION, format!("Basic {proof}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::<Bytes>::from(form))?;
    let answer = sender.send_request(request).await?;
    Ok(String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::upstream::Authority;

    async fn issuer(client_secret: &str) -> Tokens {
        Tokens::start(&Authority::new().unwrap(), client_secret.to_owned()).await.unwrap()
    }

    #[tokio::test]
    async fn a_token_is_active_until_it_is_revoked() {
        let issuer = issuer("client secret").await;
        let answer = post(&issuer, "/token", &[("grant_type", "client_credentials")]).await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let token = answer["access_token"].as_str().unwrap();
        assert_eq!(introspect(&issuer, token).await.unwrap(), r#"{"active":true}"#);
        post(&issuer, "/revoke", &[("token", token)]).await.unwrap();
        assert_eq!(introspect(&issuer, token).await.unwrap(), r#"{"active":false}"#);
        assert!(!issuer.state.is_active(token));
    }

    #[tokio::test]
    async fn a_client_that_does_not_prove_itself_gets_nothing() {
        let mut issuer = issuer("client secret").await;
        issuer.client_secret = "another".to_owned();
        let answer = post(&issuer, "/token", &[("grant_type", "client_credentials")]).await.unwrap();
        assert_eq!(answer, r#"{"error":"invalid_client"}"#);
    }
}
