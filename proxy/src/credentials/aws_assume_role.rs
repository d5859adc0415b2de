use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use keygress_policy::material::MaterialKind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::aws::{Lifetime, sts};
use super::aws_web_identity::workload_and_task;
use super::{Fetched, Provider, Purpose, Source, Tools, Work, purpose};

/// Keys of a role, for keys that another provider yields (`AssumeRole`), which may be a role again. Each holder has a session of its
/// own. AWS cannot end a session before its time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsAssumeRole {
    /// The ARN of the role.
    role_arn: String,
    /// The provider of the keys that sign the call: any that yields AWS keys.
    from: Box<Source>,
    /// The name of the session, as CloudTrail shows it: with `{workload}`, `{task}` and `{credential}`. Default `{workload}-{task}`.
    #[serde(default = "workload_and_task")]
    session: String,
    /// How long a session lives: from `15m` (default) to what the role allows, at most `12h`; `1h` where the keys are a role's already.
    #[serde(default)]
    duration: Lifetime,
    /// A session policy, as JSON text: the session may do what both it and the role allow.
    policy: Option<String>,
    /// ARNs of managed policies that narrow the session in the same way.
    #[serde(default)]
    policy_arns: Vec<String>,
    /// Tags of the session, from key to value; a value may hold `{workload}`, `{task}` and `{credential}`.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Which of the tags stay when the session takes on another role.
    #[serde(default)]
    transitive_tags: Vec<String>,
    /// What the trust policy of the role asks for as `sts:ExternalId`.
    external_id: Option<String>,
    /// The region whose token service is asked. Default: the global one.
    region: Option<String>,
    /// The URL of another token service. `https`, or plain `http` on loopback.
    endpoint: Option<String>,
}

impl AwsAssumeRole {
    fn role(&self) -> sts::Role<'_> {
        sts::Role {
            arn: &self.role_arn,
            session: &self.session,
            lifetime: self.duration.0,
            policy: self.policy.as_deref(),
            policy_arns: &self.policy_arns,
            region: self.region.as_deref(),
            endpoint: self.endpoint.as_deref(),
        }
    }
}

impl Provider for AwsAssumeRole {
    fn kind(&self) -> &'static str {
        "aws_assume_role"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::AwsKeys
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let from = self.from.provider();
        let wrong = (from.yields() != MaterialKind::AwsKeys).then(|| {
            let message = format!("`from` of `aws_assume_role` needs AWS keys, but `{}` yields {}", from.kind(), from.yields());
            (message, "use a provider that yields AWS keys, such as `aws_web_identity`".to_owned())
        });
        let lost = self.transitive_tags.iter().find(|tag| !self.tags.contains_key(*tag));
        let lost = lost.map(|tag| (format!("`{tag}` is not among `tags`"), "name tags that the session has".to_owned()));
        let templates = self.tags.values().filter_map(|value| purpose::complaint(value));
        self.role().complaints().into_iter().chain(from.complaints()).chain(wrong).chain(lost).chain(templates).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.from.provider().files()
    }

    fn variables(&self) -> Vec<&str> {
        self.from.provider().variables()
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

    fn fetch<'a>(&'a self, tools: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async move {
            let keys = self.from.provider().fetch(tools, purpose).await?.material;
            let tags = sts::tags(&self.tags, purpose);
            let mut parameters: Vec<(String, &[u8])> = tags.iter().map(|(name, value)| (name.clone(), value.as_bytes())).collect();
            let transitive = self.transitive_tags.iter().zip(1_usize..);
            parameters.extend(transitive.map(|(tag, number)| (format!("TransitiveTagKeys.member.{number}"), tag.as_bytes())));
            parameters.extend(self.external_id.iter().map(|id| ("ExternalId".to_owned(), id.as_bytes())));
            self.role().ask((tools, purpose), "AssumeRole", &parameters, Some(&keys)).await
        })
    }
}
