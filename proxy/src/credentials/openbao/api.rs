use std::collections::BTreeMap;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use jiff::Timestamp;
use keygress_policy::material::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::super::http::{Answer, Call, Endpoint};
use super::super::identity::Identity;
use super::super::wire::TextOrOther;
use super::super::{Tools, file};

/// The server, as one call sees it.
pub(super) struct Server<'a> {
    pub(super) tools: &'a Tools,
    pub(super) endpoint: Endpoint,
    pub(super) namespace: Option<&'a str>,
}

/// What it answered.
pub(super) struct Reply(Answer);

/// The fields of a secret. Only text can be one; what else there is, is not kept.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Fields(BTreeMap<String, TextOrOther>);

impl Server<'_> {
    /// Calls `/v1/PATH`.
    ///
    /// # Errors
    /// Where there is no answer; one with an error status is none.
    pub(super) async fn call(&self, method: Method, path: &str, token: Option<&Secret>, body: Vec<u8>) -> Result<Reply, String> {
        self.call_as(None, method, path, token, body).await
    }

    /// The same with a client certificate.
    ///
    /// # Errors
    /// As [`Server::call`].
    pub(super) async fn call_as(
        &self,
        identity: Option<Identity>,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Vec<u8>,
    ) -> Result<Reply, String> {
        let body = Zeroizing::new(body);
        let endpoint = self.endpoint.at(&format!("{}/v1/{path}", self.endpoint.base()));
        let endpoint = endpoint.map_err(|(message, _)| format!("OpenBao cannot be called: {message}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = token {
            let mut value = HeaderValue::from_bytes(token.expose()).map_err(|_| "the token for OpenBao fits no header".to_owned())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-vault-token"), value);
        }
        if let Some(namespace) = self.namespace {
            let value = HeaderValue::from_str(namespace).map_err(|_| "the `namespace` fits no header".to_owned())?;
            headers.insert(HeaderName::from_static("x-vault-namespace"), value);
        }
        let call = Call { method, endpoint: &endpoint, headers, body, identity, roots: None };
        self.tools.http.send(call).await.map(Reply).map_err(|fault| format!("OpenBao {fault}"))
    }

    /// Ends a session, and with it every lease that it made.
    ///
    /// # Errors
    /// As [`Server::call`], and where it answers something else than that it has ended.
    pub(super) async fn end_session(&self, token: &Secret) -> Result<(), String> {
        let reply = self.call(Method::POST, "auth/token/revoke-self", Some(token), Vec::new()).await?;
        // 403: it has ended already.
        if reply.0.status.as_u16() == 403 { Ok(()) } else { reply.done("ending the session") }
    }
}

impl Reply {
    /// The server's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.0.now()
    }

    /// Reads what a successful answer holds; `what` says what it was for.
    ///
    /// # Errors
    /// What is wrong, in words of ours.
    pub(super) fn read<T: DeserializeOwned>(self, what: &str) -> Result<T, String> {
        let Answer { status, body, .. } = &self.0;
        if status.as_u16() != 200 {
            return Err(self.fault(what));
        }
        serde_json::from_slice(body).map_err(|_| format!("OpenBao answered 200 when {what}, but not as its API says"))
    }

    /// Whether it did what it was asked.
    ///
    /// # Errors
    /// As [`Reply::read`].
    pub(super) fn done(self, what: &str) -> Result<(), String> {
        match self.0.status.as_u16() {
            200 | 204 => Ok(()),
            _ => Err(self.fault(what)),
        }
    }

    fn fault(&self, what: &str) -> String {
        let status = self.0.status;
        let hint = match status.as_u16() {
            403 => ": its policies do not allow it, or the token has ended",
            404 => ": there is nothing at this path",
            503 => ": it is sealed or in maintenance",
            _ if status.is_redirection() => ": redirects are not followed; name the active node",
            _ => "",
        };
        format!("OpenBao answered {} when {what}{hint}", status.as_u16())
    }
}

impl Fields {
    /// The text of a field.
    ///
    /// # Errors
    /// Where there is none that can be a secret.
    pub(super) fn take(&mut self, name: &str) -> Result<Secret, String> {
        match self.0.remove(name) {
            Some(TextOrOther::Text(secret)) => {
                file::check(secret.expose()).map_err(|fault| format!("OpenBao has a field `{name}` that {fault}"))?;
                Ok(secret)
            }
            Some(TextOrOther::Other) => Err(format!("OpenBao has no text in the field `{name}`")),
            None => Err(format!("OpenBao has no field `{name}` in the secret")),
        }
    }
}

/// Whether this names something below `/v1/` and nothing beside it.
pub(super) fn is_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@+=:,".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
    };
    path.split('/').all(is_segment)
}

/// What is wrong with a path, as (message, help).
pub(super) fn path_help(path: &str) -> (String, String) {
    (format!("`{path}` is no path of OpenBao"), "write it without a slash at its ends, such as `database/creds/readonly`".to_owned())
}
