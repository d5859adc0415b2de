use std::path::Path;

use keygress_policy::material::MaterialKind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::aws::{Lifetime, sts};
use super::oauth2::Assertion;
use super::{Fetched, Provider, Purpose, Tools, Work};

/// Keys of a role, for a token that another identity provider issued (`AssumeRoleWithWebIdentity`): no key of AWS is kept anywhere. Each
/// holder has a session of its own. AWS cannot end a session before its time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsWebIdentity {
    /// The ARN of the role.
    role_arn: String,
    /// The token, read or asked for at every call: a `file`, a `self_signed_jwt`, a `spiffe_jwt` or a `kubernetes_token`.
    token: Assertion,
    /// The name of the session, as CloudTrail shows it: with `{workload}`, `{task}` and `{credential}`. Default `{workload}-{task}`.
    #[serde(default = "workload_and_task")]
    session: String,
    /// How long a session lives: from `15m` (default) to what the role allows, at most `12h`.
    #[serde(default)]
    duration: Lifetime,
    /// A session policy, as JSON text: the session may do what both it and the role allow.
    policy: Option<String>,
    /// ARNs of managed policies that narrow the session in the same way.
    #[serde(default)]
    policy_arns: Vec<String>,
    /// The region whose token service is asked. Default: the global one.
    region: Option<String>,
    /// The URL of another token service. `https`, or plain `http` on loopback.
    endpoint: Option<String>,
}

/// The name of a session that tells who and why.
pub(super) fn workload_and_task() -> String {
    "{workload}-{task}".to_owned()
}

impl AwsWebIdentity {
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

impl Provider for AwsWebIdentity {
    fn kind(&self) -> &'static str {
        "aws_web_identity"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::AwsKeys
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        self.role().complaints().into_iter().chain(self.token.complaints()).collect()
    }

    fn reads(&self) -> Vec<&Path> {
        self.token.reads()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async move {
            let token = self.token.token(tools, purpose).await?;
            let parameters = [("WebIdentityToken".to_owned(), token.expose())];
            self.role().ask((tools, purpose), "AssumeRoleWithWebIdentity", &parameters, None).await
        })
    }
}
