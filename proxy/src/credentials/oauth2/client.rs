use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use keygress_policy::inject::{Prover, Proving};
use keygress_policy::material::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Map;
use zeroize::Zeroizing;

use super::super::http::{Answer, Call, Endpoint};
use super::super::identity::ClientCertificate;
use super::super::jwt::SigningKey;
use super::super::{Fetched, Tools, environment, file, nonce};
use super::answer::{DPOP, Token, read_id_token, status, wants_nonce};
use super::form::{Form, encoded};

/// The life of a JWT by which the client proves itself: it is used at once.
const PROOF_LIFETIME: Duration = Duration::from_secs(60);

/// RFC 7523, section 2.2.
const PROOF_TYPE: &[u8] = b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Where the client secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in super::super) enum ClientSecret {
    /// The path of a file that holds it alone, on one line.
    File(PathBuf),
    /// The name of an environment variable. For development only.
    Environment(String),
}

impl ClientSecret {
    /// The environment variables that it reads.
    pub(in super::super) fn variables(&self) -> Vec<&str> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Environment(name) => vec![name],
        }
    }
}

/// How the client authenticates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Auth {
    /// `Authorization: Basic`, with both parts form-encoded (RFC 6749, section 2.3.1).
    ClientSecretBasic,
    /// `client_id` and `client_secret` in the body.
    ClientSecretPost,
    /// A JWT signed with the client's private key (RFC 7523, section 2.2).
    PrivateKeyJwt(PrivateKeyJwt),
    /// A client certificate (RFC 8705), of an authority or self-signed.
    #[serde(rename = "tls_client_auth")]
    Certificate(ClientCertificate),
    /// A JWT of somebody who vouches for the client, such as a projected Kubernetes token (RFC 7523, section 2.2).
    ClientAssertion(ClientAssertion),
    /// Not at all: a public client, or a grant that proves itself.
    None,
}

/// A JWT signed with the client's private key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PrivateKeyJwt {
    /// The private key, whose public part the issuer knows.
    key: SigningKey,
    /// The `aud` claim. Default: the token endpoint; some issuers want their issuer identifier.
    audience: Option<String>,
}

/// A JWT of somebody who vouches for the client.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ClientAssertion {
    /// The path of the file that holds it alone; read for every call.
    file: PathBuf,
}

/// The client of an issuer, as a grant's shape names it.
pub(in super::super) struct Client<'a> {
    /// The token endpoint.
    pub(in super::super) token_url: &'a str,
    /// The revocation endpoint, where there is one.
    pub(in super::super) revocation_url: Option<&'a String>,
    /// The client identifier, where there is one.
    pub(in super::super) id: Option<&'a String>,
    /// Where the client secret comes from, where there is one.
    pub(in super::super) secret: Option<&'a ClientSecret>,
    /// How it authenticates. Default: by Basic where it has a secret, else not at all.
    pub(in super::super) auth: Option<&'a Auth>,
}

impl<'a> Client<'a> {
    /// The files that are read.
    pub(in super::super) fn reads(&self) -> Vec<&'a Path> {
        let secret = self.secret.and_then(|secret| match secret {
            ClientSecret::File(path) => Some(path.as_path()),
            ClientSecret::Environment(_) => None,
        });
        let auth = match self.auth {
            Some(Auth::PrivateKeyJwt(proof)) => vec![proof.key.path()],
            Some(Auth::Certificate(certificate)) => certificate.reads().to_vec(),
            Some(Auth::ClientAssertion(assertion)) => vec![assertion.file.as_path()],
            Some(Auth::ClientSecretBasic | Auth::ClientSecretPost | Auth::None) | None => Vec::new(),
        };
        secret.into_iter().chain(auth).collect()
    }

    /// What is wrong with its shape, as (message, help).
    pub(in super::super) fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints: Vec<_> = [Some(self.token_url), self.revocation_url.map(String::as_str)]
            .into_iter()
            .flatten()
            .filter_map(|url| Endpoint::parse(url).err())
            .collect();
        complaints.extend(self.secret.and_then(|secret| match secret {
            ClientSecret::File(path) => file::complaint(path),
            ClientSecret::Environment(name) => environment::complaint(name),
        }));
        if self.id.is_some_and(String::is_empty) {
            complaints.push(("`client_id` is empty".to_owned(), "write the id that the issuer gave".to_owned()));
        }
        let (needs_secret, needs_id) = match self.auth() {
            Auth::ClientSecretBasic | Auth::ClientSecretPost => (true, true),
            Auth::PrivateKeyJwt(proof) => {
                complaints.extend(proof.key.complaint());
                (false, true)
            }
            Auth::Certificate(certificate) => {
                complaints.extend(certificate.complaints());
                (false, true)
            }
            Auth::ClientAssertion(assertion) => {
                complaints.extend(file::complaint(&assertion.file));
                (false, true)
            }
            Auth::None => (false, false),
        };
        if needs_id && self.id.is_none() {
            complaints.push(("the client has no `client_id`".to_owned(), "write the id that the issuer gave".to_owned()));
        }
        match (needs_secret, self.secret) {
            (true, None) => complaints.push((
                "the client has no `client_secret`".to_owned(),
                "write `client_secret: { file: … }`, or another way under `auth`".to_owned(),
            )),
            (false, Some(_)) => complaints.push((
                "the `client_secret` is not used by this way to authenticate".to_owned(),
                "leave out one of `client_secret` and `auth`".to_owned(),
            )),
            (true, Some(_)) | (false, None) => {}
        }
        complaints
    }

    /// Whether nothing proves who it is.
    pub(in super::super) fn is_public(&self) -> bool {
        *self.auth() == Auth::None
    }

    /// Asks the token endpoint; `types` are the values of `token_type` that will do, in lower case.
    ///
    /// # Errors
    /// What is missing, free of secrets and of text from outside.
    pub(in super::super) async fn token(&self, tools: &Tools, form: Form, types: &[&str]) -> Result<Token, String> {
        let answer = self.call(tools, self.token_url, form, None).await.map_err(|fault| format!("the token endpoint {fault}"))?;
        Token::read(&answer, types, "token endpoint")
    }

    /// Asks the token endpoint for an ID token and nothing else.
    ///
    /// # Errors
    /// As [`Client::token`].
    pub(in super::super) async fn id_token(&self, tools: &Tools, form: Form) -> Result<Fetched, String> {
        let answer = self.call(tools, self.token_url, form, None).await.map_err(|fault| format!("the token endpoint {fault}"))?;
        read_id_token(&answer, "token endpoint")
    }

    /// Asks the token endpoint for a token that is bound to a key made for it (RFC 9449); a second time where the issuer wants its nonce in
    /// the proof.
    ///
    /// # Errors
    /// As [`Client::token`].
    pub(in super::super) async fn bound_token(&self, tools: &Tools, form: impl Fn() -> Form) -> Result<Fetched, String> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).and_then(|key| key.to_pkcs8v1());
        let key = Secret::new(key.map_err(|_| "no key could be made".to_owned())?.as_ref().to_vec());
        let prover = Prover::new(&key)?;
        let ask = async || {
            let answer = self.call(tools, self.token_url, form(), Some(&prover)).await;
            answer.map_err(|fault| format!("the token endpoint {fault}"))
        };
        let mut answer = ask().await?;
        if wants_nonce(&answer) && prover.takes_nonce(&answer.headers) {
            answer = ask().await?;
        }
        Ok(Token::read(&answer, DPOP, "token endpoint")?.bound(key))
    }

    /// Revokes an access token (RFC 7009).
    ///
    /// # Errors
    /// As [`Client::token`].
    pub(in super::super) async fn revoke(&self, tools: &Tools, token: &Secret) -> Result<(), String> {
        let url = self.revocation_url.ok_or_else(|| "there is no `revocation_url`".to_owned())?;
        let mut form = Form::default();
        form.add("token", token.expose());
        form.add("token_type_hint", b"access_token");
        let answer = self.call(tools, url, form, None).await.map_err(|fault| format!("the revocation endpoint {fault}"))?;
        // RFC 7009, section 2.2: 200 also for a token that the issuer no longer knows.
        if answer.status == StatusCode::OK { Ok(()) } else { Err(format!("the revocation endpoint answered {}", status(&answer))) }
    }

    async fn call(&self, tools: &Tools, url: &str, mut form: Form, prover: Option<&Prover>) -> Result<Answer, String> {
        let endpoint = Endpoint::parse(url).map_err(|(message, _)| format!("cannot be called: {message}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let not_called = |fault| format!("was not called: {fault}");
        if let Some(prover) = prover {
            headers.insert("dpop", proof(prover, url).map_err(not_called)?);
        }
        let id = self.id.map(String::as_str).unwrap_or_default();
        let mut identity = None;
        match self.auth() {
            Auth::ClientSecretBasic => {
                headers.insert(AUTHORIZATION, basic(id, &self.secret().await.map_err(not_called)?).map_err(not_called)?);
            }
            Auth::ClientSecretPost => {
                form.add("client_id", id.as_bytes());
                form.add("client_secret", self.secret().await.map_err(not_called)?.expose());
            }
            Auth::PrivateKeyJwt(proof) => {
                form.add("client_id", id.as_bytes());
                form.add("client_assertion_type", PROOF_TYPE);
                form.add("client_assertion", proof.sign(id, self.token_url).await.map_err(not_called)?.expose());
            }
            Auth::ClientAssertion(assertion) => {
                form.add("client_id", id.as_bytes());
                form.add("client_assertion_type", PROOF_TYPE);
                form.add("client_assertion", file::read(&assertion.file).await.map_err(not_called)?.expose());
            }
            Auth::Certificate(certificate) => {
                form.add("client_id", id.as_bytes());
                identity = Some(certificate.read().await.map_err(not_called)?);
            }
            Auth::None => self.id.iter().for_each(|id| form.add("client_id", id.as_bytes())),
        }
        let call = Call { method: Method::POST, endpoint: &endpoint, headers, body: form.into_bytes(), identity, roots: None };
        tools.http.send(call).await.map_err(|fault| fault.to_string())
    }

    fn auth(&self) -> &Auth {
        match (self.auth, self.secret) {
            (Some(auth), _) => auth,
            (None, Some(_)) => &Auth::ClientSecretBasic,
            (None, None) => &Auth::None,
        }
    }

    async fn secret(&self) -> Result<Secret, String> {
        match self.secret {
            Some(ClientSecret::File(path)) => file::read(path).await,
            Some(ClientSecret::Environment(name)) => environment::read(name),
            None => Err("there is no `client_secret`".to_owned()),
        }
    }
}

impl PrivateKeyJwt {
    /// RFC 7523, section 3: the client is issuer and subject, and says to whom it speaks.
    async fn sign(&self, id: &str, token_url: &str) -> Result<Secret, String> {
        let audience = self.audience.as_deref().unwrap_or(token_url);
        let claims = [("iss", id), ("sub", id), ("aud", audience)];
        let claims: Map<_, _> = claims.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        self.key.sign(claims, PROOF_LIFETIME).await
    }
}

/// RFC 9449, section 5.
fn proof(prover: &Prover, url: &str) -> Result<HeaderValue, String> {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let proof = prover.proof(Proving { method: "POST", url, now: Timestamp::now(), nonce: nonce() }, None)?;
    HeaderValue::try_from(proof).map_err(|_| "the proof fits no header".to_owned())
}

fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, String> {
    let mut pair = Zeroizing::new(String::with_capacity(3 * (id.len() + secret.len()) + 1));
    pair.extend(encoded(id.as_bytes()));
    pair.push(':');
    pair.extend(encoded(secret.expose()));
    let mut value = Zeroizing::new(String::with_capacity(6 + pair.len().div_ceil(3) * 4));
    value.push_str("Basic ");
    BASE64_STANDARD.encode_string(pair.as_bytes(), &mut value);
    let bytes = Bytes::from_owner(Zeroizing::new(std::mem::take(&mut *value).into_bytes()));
    let mut header = HeaderValue::from_maybe_shared(bytes).map_err(|_| "the client secret fits no header".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}
