use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keygress_policy::material::{MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::aws::json::Service;
use super::lent::{self, Lent};
use super::stored::Picked;
use super::wire::{SecretText, Time};
use super::{Fetched, Provider, Purpose, Source, Tools, Work};

const TITLE: &str = "AWS Secrets Manager";

/// A secret of AWS Secrets Manager. Static.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsSecretsManager {
    /// The provider of the keys that sign the call: any that yields AWS keys.
    from: Box<Source>,
    /// The name or the ARN of the secret.
    secret: String,
    /// Which version of it, by its id. Default: the current one.
    version: Option<String>,
    /// Which version of it, by its staging label. Default `AWSCURRENT`.
    stage: Option<String>,
    /// The field of the JSON object that the secret is. Default: the whole secret is the token.
    field: Option<String>,
    /// The field that holds the user name. Makes it a user and a password instead of a token.
    user_field: Option<String>,
    /// How long it may be used after it was read; it is read again at 80 % of this. Default `1h`.
    max_age: Option<Time>,
    /// The region of the secret.
    region: String,
    /// The URL of another endpoint, such as that of a VPC. `https`, or plain `http` on loopback.
    endpoint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValue {
    secret_string: Option<SecretText>,
    secret_binary: Option<SecretText>,
}

impl AwsSecretsManager {
    fn picked(&self) -> Picked<'_> {
        Picked { field: self.field.as_deref(), user_field: self.user_field.as_deref(), max_age: self.max_age }
    }

    fn service(&self) -> Service<'_> {
        Service { title: TITLE, name: "secretsmanager", region: &self.region, endpoint: self.endpoint.as_deref() }
    }

    fn question(&self) -> Value {
        let named = [("SecretId", Some(&self.secret)), ("VersionId", self.version.as_ref()), ("VersionStage", self.stage.as_ref())];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.as_str().into())));
        Value::Object(named.collect::<Map<_, _>>())
    }
}

impl Provider for AwsSecretsManager {
    fn kind(&self) -> &'static str {
        "aws_secrets_manager"
    }

    fn yields(&self) -> MaterialKind {
        self.picked().yields()
    }

    fn is_static(&self) -> bool {
        true
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = lent::complaints(self.kind(), &self.from, MaterialKind::AwsKeys, "aws_web_identity");
        complaints.extend(self.service().complaints());
        complaints.extend(self.picked().complaints());
        if self.secret.is_empty() {
            complaints.push(("`secret` is empty".to_owned(), "write the name or the ARN of the secret".to_owned()));
        }
        complaints
    }

    fn files(&self) -> Vec<PathBuf> {
        self.from.provider().files()
    }

    fn reads(&self) -> Vec<&Path> {
        self.from.provider().reads()
    }

    fn writes(&self) -> Vec<&Path> {
        self.from.provider().writes()
    }

    fn programs(&self) -> Vec<&[String]> {
        self.from.provider().programs()
    }

    fn variables(&self) -> Vec<&str> {
        self.from.provider().variables()
    }

    fn may_be_dropped(&self) -> bool {
        self.from.provider().may_be_dropped()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async move {
            let keys = Lent::from(&self.from, tools, purpose).await?;
            let answer = self.service().ask(tools, "secretsmanager.GetSecretValue", &self.question(), keys.material()).await;
            keys.end(tools).await;
            self.read(&answer?.body).map_err(|fault| format!("{TITLE} {fault}"))
        })
    }
}

impl AwsSecretsManager {
    fn read(&self, json: &[u8]) -> Result<Fetched, String> {
        let unread = || "answered 200, but not as its API says".to_owned();
        let value: SecretValue = serde_json::from_slice(json).map_err(|_| unread())?;
        let text = match (value.secret_string, value.secret_binary) {
            (Some(SecretText(text)), _) => text,
            (None, Some(SecretText(binary))) => Secret::new(BASE64_STANDARD.decode(binary.expose()).map_err(|_| unread())?),
            (None, None) => return Err(unread()),
        };
        self.picked().of_text(&text)
    }
}
