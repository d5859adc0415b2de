use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::{Method, StatusCode};
use keygress_policy::material::{MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::http::Answer;
use super::kubernetes::{self, Api};
use super::stored::Picked;
use super::wire::{SecretText, Time};
use super::{Fetched, Provider, Purpose, Tools, Work};

/// A Secret of Kubernetes, by the API: for one that is not mounted into keygress's pod. Static.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSecret {
    /// The namespace of the Secret.
    namespace: String,
    /// Its name.
    name: String,
    /// The key in its data that holds the token or the password.
    field: String,
    /// The key that holds the user name. Makes it a user and a password instead of a token.
    user_field: Option<String>,
    /// How long it may be used after it was read; it is read again at 80 % of this. Default `1h`.
    max_age: Option<Time>,
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
struct SecretObject {
    #[serde(default)]
    data: BTreeMap<String, SecretText>,
}

impl KubernetesSecret {
    fn api(&self) -> Api<'_> {
        Api { url: &self.api_url, token_file: &self.token_file, ca_file: &self.ca_file }
    }

    fn picked(&self) -> Picked<'_> {
        Picked { field: Some(&self.field), user_field: self.user_field.as_deref(), max_age: self.max_age }
    }
}

impl Provider for KubernetesSecret {
    fn kind(&self) -> &'static str {
        "kubernetes_secret"
    }

    fn yields(&self) -> MaterialKind {
        self.picked().yields()
    }

    fn is_static(&self) -> bool {
        true
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let names = kubernetes::name_complaints([&self.namespace, &self.name]);
        self.api().complaints().into_iter().chain(names).chain(self.picked().complaints()).collect()
    }

    fn reads(&self) -> Vec<&Path> {
        vec![&self.token_file, &self.ca_file]
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let path = format!("/api/v1/namespaces/{}/secrets/{}", self.namespace, self.name);
            let answer = self.api().call(tools, Method::GET, &path, None).await?;
            self.read(&answer).map_err(|fault| format!("the API server {fault}"))
        })
    }
}

impl KubernetesSecret {
    fn read(&self, answer: &Answer) -> Result<Fetched, String> {
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err("answered 401: it does not know the token in `token_file`".to_owned()),
            StatusCode::FORBIDDEN => return Err("answered 403: keygress needs the verb `get` on this Secret".to_owned()),
            StatusCode::NOT_FOUND => return Err("answered 404: there is no such Secret".to_owned()),
            _ => return Err(answer.fault()),
        }
        let Ok(SecretObject { mut data }) = serde_json::from_slice(&answer.body) else {
            return Err("answered 200, but not as its API says".to_owned());
        };
        self.picked().of_fields(&mut |name| {
            let SecretText(encoded) = data.remove(name).ok_or_else(|| format!("holds no field `{name}` in the secret"))?;
            let bytes = BASE64_STANDARD.decode(encoded.expose()).map_err(|_| format!("holds no base64 in the field `{name}`"))?;
            Ok(Secret::new(bytes))
        })
    }
}
