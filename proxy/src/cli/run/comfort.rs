//! Variables by which SDKs find stand-ins for their own credentials, where the policy has a credential for them.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::Policy;
use crate::stand_ins::{self, Cloud};

/// What would give an SDK of AWS other credentials before it asks for ours.
const AWS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
];

/// The same for Google's.
const GOOGLE: &[&str] = &["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_API_CERTIFICATE_CONFIG", "NO_GCE_CHECK"];

/// The same for Microsoft's.
const AZURE: &[&str] = &[
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
    "MSI_ENDPOINT",
    "MSI_SECRET",
];

/// Adds what is set for the command, and what it must not inherit.
pub(super) fn add(policy: &Policy, routes_url: &str, set: &mut BTreeMap<String, OsString>, removed: &mut Vec<String>) {
    let mut give = |cloud: Cloud, taken: &[&str], given: &[(&str, String)]| {
        removed.extend(taken.iter().map(|name| (*name).to_owned()));
        tracing::debug!(?cloud, "stand-ins for an SDK");
        for (name, value) in given {
            set.entry((*name).to_owned()).or_insert_with(|| OsString::from(value));
        }
    };
    let address = routes_url.strip_prefix("http://").unwrap_or(routes_url).to_owned();
    if let Some(credential) = Cloud::Aws.credential(policy) {
        let by_variable = credential.placeholder.as_ref().is_some_and(|placeholder| placeholder.env == "AWS_ACCESS_KEY_ID");
        // An access key id in a variable wants its secret beside it, and then no SDK asks any further.
        let given = if by_variable {
            ("AWS_SECRET_ACCESS_KEY", stand_ins::SECRET_ACCESS_KEY.to_owned())
        } else {
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{routes_url}{}aws/{}", stand_ins::ROUTE, credential.name))
        };
        give(Cloud::Aws, AWS, &[given]);
    }
    if Cloud::Google.credential(policy).is_some() {
        give(Cloud::Google, GOOGLE, &[("GCE_METADATA_HOST", address.clone()), ("GCE_METADATA_IP", address)]);
    }
    if Cloud::Azure.credential(policy).is_some() {
        let endpoint = format!("{routes_url}{}azure", stand_ins::ROUTE);
        give(Cloud::Azure, AZURE, &[("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", "keygress".to_owned())]);
    }
}
