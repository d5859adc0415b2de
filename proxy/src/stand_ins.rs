//! What SDKs are given that ask for their own credentials: values that are worth nothing. The real thing is put on when they are used.

use std::sync::Arc;

use jiff::Timestamp;
use keygress_policy::destination::{Host, HostPattern};
use keygress_policy::material::MaterialKind;
use serde_json::{Value, json};

use crate::caller::RunningTask;
use crate::credentials::held_text;
use crate::{Credential, Policy};

/// The reserved route: no host and no alias begins with a dot.
pub const ROUTE: &str = "/.keygress/";

/// The paths of Google's metadata server.
pub const METADATA: &str = "/computeMetadata/v1/";

/// What a stand-in is where the task holds no placeholder for the credential.
const WORTHLESS: &str = "keygress-stand-in";

/// A secret access key of the usual length, to sign with what is signed anew.
pub const SECRET_ACCESS_KEY: &str = "keygress/signs/this/anew/0000000000000000";

/// The hosts of Microsoft's cloud.
const AZURE: [&str; 5] = ["azure.com", "azure.net", "microsoft.com", "microsoftonline.com", "windows.net"];

/// For how long an SDK keeps a stand-in before it asks again, in seconds. AWS's SDKs refresh a quarter of an hour ahead.
const LIFETIME_SECONDS: i64 = 3600;

/// Whose SDK asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon's: container credentials.
    Aws,
    /// Google's: the metadata server.
    Google,
    /// Microsoft's: the identity endpoint of App Service.
    Azure,
}

impl Cloud {
    /// The credential of the policy that its SDK would ask for: the first by name.
    #[must_use]
    pub fn credential(self, policy: &Policy) -> Option<&Arc<Credential>> {
        policy.credentials().iter().find(|credential| self.knows(credential))
    }

    fn knows(self, credential: &Credential) -> bool {
        let bearer = credential.injection.kind() == "bearer";
        match self {
            Self::Aws => credential.injection.takes() == MaterialKind::AwsKeys,
            Self::Google => bearer && credential.only_to.iter().any(|host| is_under(host, "googleapis.com")),
            Self::Azure => bearer && credential.only_to.iter().any(|host| AZURE.iter().any(|domain| is_under(host, domain))),
        }
    }
}

fn is_under(pattern: &HostPattern, domain: &str) -> bool {
    let name = match pattern {
        HostPattern::Exact(Host::Name(name)) | HostPattern::Under(name) => &**name,
        HostPattern::Exact(Host::Ip(_)) => return false,
    };
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// What the application holds for a credential: the placeholder of its task, or a word that is worth as little.
#[must_use]
pub fn held(credential: &Credential, task: Option<&RunningTask>) -> String {
    let placeholder = task.and_then(|task| task.placeholders.get(credential.name.as_str()));
    placeholder.and_then(held_text).unwrap_or_else(|| WORTHLESS.to_owned())
}

/// Container credentials, as AWS's SDKs read them.
#[must_use]
pub fn aws(held: &str, now: Timestamp) -> Value {
    let expires = now.as_second().saturating_add(LIFETIME_SECONDS);
    let expires = Timestamp::from_second(expires).unwrap_or(now);
    json!({ "AccessKeyId": held, "SecretAccessKey": SECRET_ACCESS_KEY, "Token": WORTHLESS, "Expiration": format!("{expires:.0}") })
}

/// An access token, as OAuth 2.0 and Google's metadata server answer it.
#[must_use]
pub fn token(held: &str) -> Value {
    json!({ "access_token": held, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS })
}

/// An access token, as the identity endpoint of App Service answers it.
#[must_use]
pub fn azure(held: &str, resource: &str, now: Timestamp) -> Value {
    let expires = now.as_second().saturating_add(LIFETIME_SECONDS);
    json!({ "access_token": held, "token_type": "Bearer", "resource": resource, "expires_on": expires.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_holds_itself_and_what_lies_under_it() {
        for (pattern, under) in [
            ("googleapis.com", true),
            ("storage.googleapis.com", true),
            ("*.googleapis.com", true),
            ("notgoogleapis.com", false),
            ("googleapis.com.example.net", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_under(&HostPattern::parse(pattern).unwrap(), "googleapis.com"), under, "{pattern}");
        }
    }

    #[test]
    fn what_aws_reads_says_when_to_ask_again() {
        let value = aws("AKIAplaceholder", "2026-01-01T00:00:00.7Z".parse().unwrap());
        assert_eq!((value["AccessKeyId"].as_str(), value["Expiration"].as_str()), (Some("AKIAplaceholder"), Some("2026-01-01T01:00:00Z")));
        assert!(SECRET_ACCESS_KEY.len() >= 40);
    }
}
