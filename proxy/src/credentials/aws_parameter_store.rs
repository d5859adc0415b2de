use std::path::{Path, PathBuf};

use keygress_policy::material::MaterialKind;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::aws::json::Service;
use super::lent::{self, Lent};
use super::stored::Picked;
use super::wire::{SecretText, Time};
use super::{Fetched, Provider, Purpose, Source, Tools, Work};

const TITLE: &str = "AWS Parameter Store";

/// A parameter of the Parameter Store of AWS Systems Manager, decrypted there. Static.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsParameterStore {
    /// The provider of the keys that sign the call: any that yields AWS keys.
    from: Box<Source>,
    /// The name or the ARN of the parameter; with `:VERSION` or `:LABEL` behind it, that one of its versions.
    parameter: String,
    /// The field of the JSON object that the parameter is. Default: the whole parameter is the token.
    field: Option<String>,
    /// The field that holds the user name. Makes it a user and a password instead of a token.
    user_field: Option<String>,
    /// How long it may be used after it was read; it is read again at 80 % of this. Default `1h`.
    max_age: Option<Time>,
    /// The region of the parameter.
    region: String,
    /// The URL of another endpoint, such as that of a VPC. `https`, or plain `http` on loopback.
    endpoint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ParameterResponse {
    parameter: ParameterValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ParameterValue {
    value: SecretText,
}

impl AwsParameterStore {
    fn picked(&self) -> Picked<'_> {
        Picked { field: self.field.as_deref(), user_field: self.user_field.as_deref(), max_age: self.max_age }
    }

    fn service(&self) -> Service<'_> {
        Service { title: TITLE, name: "ssm", region: &self.region, endpoint: self.endpoint.as_deref() }
    }
}

impl Provider for AwsParameterStore {
    fn kind(&self) -> &'static str {
        "aws_parameter_store"
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
        if self.parameter.is_empty() {
            complaints.push(("`parameter` is empty".to_owned(), "write the name or the ARN of the parameter".to_owned()));
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
            let question = json!({ "Name": self.parameter, "WithDecryption": true });
            let answer = self.service().ask(tools, "AmazonSSM.GetParameter", &question, keys.material()).await;
            keys.end(tools).await;
            let Ok(ParameterResponse { parameter }) = serde_json::from_slice(&answer?.body) else {
                return Err(format!("{TITLE} answered 200, but not as its API says"));
            };
            let SecretText(value) = parameter.value;
            self.picked().of_text(&value).map_err(|fault| format!("{TITLE} {fault}"))
        })
    }
}
