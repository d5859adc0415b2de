use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use keygress_policy::material::{MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::http::Endpoint;
use super::{Fetched, Provider, Purpose, Tools, Work, aws, environment, file};

/// Where the agent of ECS answers, to which a path in [`RELATIVE`] belongs.
const ECS: &str = "http://169.254.170.2";

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";

/// Keys of the role of the container or pod in which keygress runs: a task of ECS, or a pod with EKS Pod Identity.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsContainer {
    /// The URL that gives the keys: an address at which AWS does, or loopback. Default: what AWS set in
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `AWS_CONTAINER_CREDENTIALS_FULL_URI` of keygress itself.
    url: Option<String>,
    /// The path of the file that holds the token for it. Default: what AWS set in `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` or
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`; none where the `url` is given.
    token_file: Option<PathBuf>,
    /// The path that AWS set, looked up once.
    #[serde(skip)]
    set_by_aws: OnceLock<Option<PathBuf>>,
}

impl Provider for AwsContainer {
    fn kind(&self) -> &'static str {
        "aws_container"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::AwsKeys
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let url = self.url.as_ref().and_then(|url| Endpoint::metadata(url).err());
        url.into_iter().chain(self.token_file.as_ref().and_then(|path| file::complaint(path))).collect()
    }

    fn variables(&self) -> Vec<&str> {
        if self.url.is_some() { Vec::new() } else { vec![RELATIVE, FULL, TOKEN_FILE, TOKEN] }
    }

    fn reads(&self) -> Vec<&Path> {
        self.token_path().into_iter().collect()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            let url = self.place(variable)?;
            let endpoint =
                Endpoint::metadata(&url).map_err(|(message, _)| format!("the container endpoint cannot be called: {message}"))?;
            let mut headers = HeaderMap::new();
            if let Some(token) = self.token(variable).await? {
                let mut value = HeaderValue::from_bytes(token.expose());
                value.iter_mut().for_each(|value| value.set_sensitive(true));
                headers.insert(AUTHORIZATION, value.map_err(|_| "the token for the container endpoint fits no header".to_owned())?);
            }
            let answer = tools.http.get(&endpoint, headers).await.map_err(|fault| format!("the container endpoint {fault}"))?;
            let keys = if answer.status == StatusCode::OK {
                aws::read_keys(&answer.body, aws::Form::Answer, answer.now())
            } else {
                Err(answer.fault())
            };
            keys.map_err(|fault| format!("the container endpoint {fault}"))
        })
    }
}

impl AwsContainer {
    fn place(&self, variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
        let from_environment = || variable(RELATIVE).map(|path| format!("{ECS}{path}")).or_else(|| variable(FULL));
        self.url.clone().or_else(from_environment).ok_or_else(|| format!("AWS set neither `{RELATIVE}` nor `{FULL}`: write the `url`"))
    }

    fn token_path(&self) -> Option<&Path> {
        let set_by_aws = || std::env::var_os(TOKEN_FILE).filter(|_| self.url.is_none()).map(PathBuf::from);
        self.token_file.as_deref().or_else(|| self.set_by_aws.get_or_init(set_by_aws).as_deref())
    }

    async fn token(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Secret>, String> {
        match (self.token_path(), &self.url, variable(TOKEN)) {
            (Some(path), _, _) => file::read(path).await.map(Some),
            (None, None, Some(_)) => environment::read(TOKEN).map(Some),
            (None, Some(_), _) | (None, None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_policy_s_or_the_one_that_aws_set() {
        let named = AwsContainer { url: Some("http://127.0.0.1/keys".to_owned()), token_file: None, set_by_aws: OnceLock::new() };
        let unnamed = AwsContainer { url: None, token_file: None, set_by_aws: OnceLock::new() };
        let ecs = |name: &str| (name == RELATIVE).then(|| "/v2/credentials/1".to_owned());
        let eks = |name: &str| (name == FULL).then(|| "http://169.254.170.23/v1/credentials".to_owned());
        assert_eq!(named.place(ecs).unwrap(), "http://127.0.0.1/keys");
        assert_eq!(unnamed.place(ecs).unwrap(), "http://169.254.170.2/v2/credentials/1");
        assert_eq!(unnamed.place(eks).unwrap(), "http://169.254.170.23/v1/credentials");
        assert!(unnamed.place(|_| None).unwrap_err().contains("AWS set neither"));
        assert_eq!((named.variables().len(), unnamed.variables().len()), (0, 4));
    }
}
