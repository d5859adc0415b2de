use std::time::Duration;

use hyper::StatusCode;
use keygress_policy::material::{Material, Secret};
use serde::Deserialize;

use super::super::http::Answer;
use super::super::jwt::end_of;
use super::super::wire::{Seconds, SecretText};
use super::super::{Fetched, file};

/// The life of a token whose issuer does not say how long it lives.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);

/// The error codes that RFC 6749, RFC 7009, RFC 7523, RFC 8707 and RFC 9449 register: no other text of an issuer is ever repeated.
const ERROR_CODES: [&str; 13] = [
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
    "use_dpop_nonce",
    "invalid_dpop_proof",
];

/// The type of a token that whoever holds it may use.
pub(in super::super) const BEARER: &[&str] = &["bearer"];

/// The type of a token that is bound to a key (RFC 9449, section 5).
pub(in super::super) const DPOP: &[&str] = &["dpop"];

/// The same, or the word of RFC 8693, section 2.2.1, for a token that is no access token.
pub(in super::super) const BEARER_OR_NOT_APPLICABLE: &[&str] = &["bearer", "n_a"];

/// What a token endpoint gave.
pub(in super::super) struct Token {
    access_token: Secret,
    lifetime: Duration,
    /// The next refresh token, where the issuer gives one.
    pub(in super::super) refresh_token: Option<Secret>,
    /// What kind of token it is (RFC 8693).
    pub(in super::super) issued_token_type: Option<String>,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: Option<SecretText>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
    refresh_token: Option<SecretText>,
    issued_token_type: Option<String>,
}

#[derive(Deserialize)]
struct IdTokenResponse {
    id_token: SecretText,
}

#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
}

impl Token {
    /// Reads what a token endpoint, or whatever `place` answers like one, answered; `types` are the values of `token_type` that will do, in
    /// lower case.
    ///
    /// # Errors
    /// What is wrong, in words of ours, with the error code where that is a registered one.
    pub(in super::super) fn read(answer: &Answer, types: &[&str], place: &str) -> Result<Self, String> {
        if answer.status != StatusCode::OK {
            return Err(format!("the {place} answered {}", status(answer)));
        }
        let Ok(response) = serde_json::from_slice::<TokenResponse>(&answer.body) else {
            return Err(format!("the {place} answered 200, but not as RFC 6749, section 5.1, says"));
        };
        let Some(SecretText(access_token)) = response.access_token else {
            return Err(format!("the {place} answered 200 without `access_token`"));
        };
        file::check(access_token.expose()).map_err(|_| format!("the {place} gave an `access_token` that is no token"))?;
        let will_do = |given: String| types.iter().any(|kind| given.eq_ignore_ascii_case(kind));
        if !response.token_type.is_some_and(will_do) {
            let expected = if types == DPOP { "DPoP" } else { "Bearer" };
            return Err(format!("the {place} gave a token whose `token_type` is not `{expected}`"));
        }
        let lifetime = response.expires_in.map_or(LIFETIME_DEFAULT, |Seconds(seconds)| Duration::from_secs(seconds));
        if lifetime.is_zero() {
            return Err(format!("the {place} gave a token that has expired already"));
        }
        let refresh_token = response.refresh_token.map(|SecretText(token)| token);
        if refresh_token.as_ref().is_some_and(|token| file::check(token.expose()).is_err()) {
            return Err(format!("the {place} gave a `refresh_token` that is no token"));
        }
        Ok(Self { access_token, lifetime, refresh_token, issued_token_type: response.issued_token_type })
    }

    /// The access token, which revokes itself, with the key that it is bound to.
    pub(in super::super) fn bound(self, key: Secret) -> Fetched {
        let handle = Some(Secret::new(self.access_token.expose().to_vec()));
        Fetched { material: Material::BoundToken { token: self.access_token, key }, lifetime: Some(self.lifetime), handle }
    }

    /// The access token, which revokes itself.
    pub(in super::super) fn fetched(self) -> Fetched {
        let handle = Some(Secret::new(self.access_token.expose().to_vec()));
        Fetched { material: Material::Token(self.access_token), lifetime: Some(self.lifetime), handle }
    }
}

/// Reads an ID token that `place` gave alone; it says itself when it ends.
///
/// # Errors
/// As [`Token::read`].
pub(super) fn read_id_token(answer: &Answer, place: &str) -> Result<Fetched, String> {
    if answer.status != StatusCode::OK {
        return Err(format!("the {place} answered {}", status(answer)));
    }
    let token = serde_json::from_slice::<IdTokenResponse>(&answer.body).map(|response| response.id_token.0);
    let token = token.map_err(|_| format!("the {place} answered 200 without `id_token`"))?;
    let end = file::check(token.expose()).ok().and_then(|()| end_of(&token));
    let lifetime = end.map(|end| answer.until(end)).filter(|lifetime| !lifetime.is_zero());
    let lifetime = lifetime.ok_or_else(|| format!("the {place} gave an ID token that is none, or has expired already"))?;
    Ok(Fetched { material: Material::Token(token), lifetime: Some(lifetime), handle: None })
}

/// Whether the endpoint wants a proof with the nonce that came with the answer.
pub(super) fn wants_nonce(answer: &Answer) -> bool {
    answer.status == StatusCode::BAD_REQUEST
        && serde_json::from_slice::<ErrorResponse>(&answer.body).is_ok_and(|response| response.error == "use_dpop_nonce")
}

/// The status of an answer, with its error code where that is a registered one.
pub(super) fn status(answer: &Answer) -> String {
    let number = answer.status.as_u16();
    let code = serde_json::from_slice::<ErrorResponse>(&answer.body).ok();
    match code.and_then(|code| ERROR_CODES.into_iter().find(|known| *known == code.error)) {
        Some(code) => format!("{number} with `{code}`"),
        None if answer.status.is_redirection() => format!("{number}: redirects are not followed"),
        None => number.to_string(),
    }
}
