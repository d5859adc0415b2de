use std::path::Path;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};
use keygress_policy::material::MaterialKind;
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::http::{Answer, Call, Endpoint};
use super::{Fetched, Provider, Purpose, Tools, Work, aws};

/// Where the names of the instance's roles are, and below them their keys.
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// The life of a session of the metadata service, in seconds: that of one fetch.
const SESSION_SECONDS: &str = "60";

/// Keys of the role of the EC2 instance on which keygress runs, by version 2 of its metadata service. Version 1, which answers anybody who
/// can make keygress send a GET, is never spoken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsInstance {
    /// The name of the role. Default: the one that the instance has.
    role: Option<String>,
    /// The metadata service. Default `http://169.254.169.254`.
    #[serde(default = "service")]
    metadata_url: String,
}

fn service() -> String {
    "http://169.254.169.254".to_owned()
}

impl Provider for AwsInstance {
    fn kind(&self) -> &'static str {
        "aws_instance"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::AwsKeys
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let role = self.role.iter().filter(|role| !is_role(role));
        let role = role.map(|role| (format!("`{role}` is not the name of a role"), "write its name alone, not its ARN".to_owned()));
        Endpoint::metadata(&self.metadata_url).err().into_iter().chain(role).collect()
    }

    fn reads(&self) -> Vec<&Path> {
        Vec::new()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let session = self.session(tools).await?;
            let role = match &self.role {
                Some(role) => role.clone(),
                None => {
                    let answer = self.ask(tools, ROLES, &session).await?;
                    let role = std::str::from_utf8(&answer.body).unwrap_or_default().lines().next().unwrap_or_default();
                    is_role(role).then(|| role.to_owned()).ok_or("the metadata service names no role")?
                }
            };
            let answer = self.ask(tools, &format!("{ROLES}{role}"), &session).await?;
            aws::read_keys(&answer.body, aws::Form::Answer, answer.now()).map_err(|fault| format!("the metadata service {fault}"))
        })
    }
}

impl AwsInstance {
    /// A session token: what proves that we can do more than make somebody send a GET.
    async fn session(&self, tools: &Tools) -> Result<HeaderValue, String> {
        let endpoint = self.endpoint("/latest/api/token")?;
        let life = (HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds"), HeaderValue::from_static(SESSION_SECONDS));
        let headers = HeaderMap::from_iter([life]);
        let call = Call { method: Method::PUT, endpoint: &endpoint, headers, body: Zeroizing::default(), identity: None, roots: None };
        let answer = tools.http.send(call).await.map_err(|fault| format!("the metadata service {fault}"))?;
        let token = HeaderValue::from_bytes(&answer.body).ok().filter(|token| answer.status == StatusCode::OK && !token.is_empty());
        token.ok_or_else(|| format!("the metadata service {} when asked for a session", answer.fault()))
    }

    async fn ask(&self, tools: &Tools, path: &str, session: &HeaderValue) -> Result<Answer, String> {
        let mut session = session.clone();
        session.set_sensitive(true);
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-aws-ec2-metadata-token"), session)]);
        let answer = tools.http.get(&self.endpoint(path)?, headers).await.map_err(|fault| format!("the metadata service {fault}"))?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            StatusCode::NOT_FOUND => Err("the metadata service answered 404: the instance has no such role".to_owned()),
            _ => Err(format!("the metadata service {}", answer.fault())),
        }
    }

    fn endpoint(&self, path: &str) -> Result<Endpoint, String> {
        let endpoint = Endpoint::metadata(&self.metadata_url).and_then(|service| service.at(path));
        endpoint.map_err(|(message, _)| format!("the metadata service cannot be called: {message}"))
    }
}

/// The characters of IAM: none that is more than one segment of a path.
fn is_role(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}
