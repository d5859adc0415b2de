use std::path::{Path, PathBuf};

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method};
use zeroize::Zeroizing;

use super::http::{Answer, Call, Endpoint, bearer};
use super::{Tools, file, identity};

/// The API server, as the shape of a provider names it.
pub(super) struct Api<'a> {
    /// Where it is.
    pub(super) url: &'a str,
    /// The path of keygress's own token for it.
    pub(super) token_file: &'a Path,
    /// The path of the certificates that alone verify it.
    pub(super) ca_file: &'a Path,
}

/// Where a pod finds it.
pub(super) fn url() -> String {
    "https://kubernetes.default.svc".to_owned()
}

/// Where a pod has its token.
pub(super) fn own_token() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
}

/// Where a pod has the certificates.
pub(super) fn authorities() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt".into()
}

impl Api<'_> {
    /// What is wrong with its shape, as (message, help).
    pub(super) fn complaints(&self) -> Vec<(String, String)> {
        let files = [self.token_file, self.ca_file].into_iter().filter_map(file::complaint);
        Endpoint::parse(self.url).err().into_iter().chain(files).collect()
    }

    /// Calls it; `Some` body is JSON.
    ///
    /// # Errors
    /// Where there is no answer; one with an error status is none.
    pub(super) async fn call(&self, tools: &Tools, method: Method, path: &str, body: Option<String>) -> Result<Answer, String> {
        let endpoint = Endpoint::parse(self.url).and_then(|api| api.at(&format!("{}{path}", api.base())));
        let endpoint = endpoint.map_err(|(message, _)| format!("the API server cannot be called: {message}"))?;
        let own = file::read(self.token_file).await?;
        let roots = Some(identity::read_roots(self.ca_file).await?);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer(&own).ok_or_else(|| "the token for the API server fits no header".to_owned())?);
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = Zeroizing::new(body.unwrap_or_default().into_bytes());
        let call = Call { method, endpoint: &endpoint, headers, body, identity: None, roots };
        tools.http.send(call).await.map_err(|fault| format!("the API server {fault}"))
    }
}

/// What is wrong with names of objects, as (message, help).
pub(super) fn name_complaints<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<(String, String)> {
    let wrong = names.into_iter().filter(|name| !is_name(name));
    wrong.map(|name| (format!("`{name}` is no name in Kubernetes"), "write lower-case letters, digits, `-` and `.`".to_owned())).collect()
}

/// RFC 1123: it stands in a path as it is.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    (1..=253).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.') && !text.contains("..")
}
