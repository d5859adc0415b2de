//! Where a platform gives out short-lived credentials for the asking: what takes the place of a static key there.

use crate::compile::{Credential, Source};
use crate::reach::lies_below;

/// A platform that vouches for workloads itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Federation {
    /// The platform.
    pub platform: &'static str,
    /// The provider of keygress that asks it, as the policy spells it.
    pub provider: &'static str,
    /// What that takes, in one sentence.
    pub how: &'static str,
    presets: &'static [&'static str],
    hosts: &'static [&'static str],
}

const FEDERATIONS: &[Federation] = &[
    Federation {
        platform: "AWS",
        provider: "aws_web_identity",
        how: "a role that trusts the workload's own identity token; on AWS itself `aws_container` or `aws_instance`",
        presets: &[],
        hosts: &["amazonaws.com", "amazonaws.com.cn", "api.aws"],
    },
    Federation {
        platform: "GitHub",
        provider: "github_app",
        how: "an app that is installed on the repositories, with the permissions of this job alone",
        presets: &["github", "github_git"],
        hosts: &["api.github.com", "uploads.github.com", "github.com"],
    },
    Federation {
        platform: "Google Cloud",
        provider: "gcp_workload_identity",
        how: "a workload identity pool that trusts the workload's own token; on Google Cloud itself `gcp_metadata`",
        presets: &[],
        hosts: &["googleapis.com"],
    },
    Federation {
        platform: "Azure",
        provider: "azure_managed_identity",
        how: "a managed identity; elsewhere `oauth2_client_credentials` with `auth: client_assertion`, which federates the workload's token",
        presets: &[],
        hosts: &["azure.com", "azure.net", "windows.net", "graph.microsoft.com", "azurecr.io"],
    },
];

/// Presets of APIs on these hosts whose keys are the vendor's own, not the platform's.
const KEYS_ONLY: [&str; 2] = ["gemini", "google_maps"];

/// The header in which OpenBao and Vault take their tokens.
const VAULT_HEADER: &str = "x-vault-token";

/// OpenBao knows no vendor's host: its header gives it away.
const OPENBAO: Federation = Federation {
    platform: "OpenBao",
    provider: "openbao",
    how: "a login with the workload's own token (`auth: kubernetes` or `jwt`), and secrets that are made for a lease",
    presets: &[],
    hosts: &[],
};

/// What could mint this credential instead, where it is a static key for a platform that federates.
#[must_use]
pub fn instead_of<S: Source>(credential: &Credential<S>) -> Option<&'static Federation> {
    if !credential.source.is_static() {
        return None;
    }
    if credential.injection.owns_header(&http::HeaderName::from_static(VAULT_HEADER)) {
        return Some(&OPENBAO);
    }
    let preset = credential.preset.map(|preset| preset.name);
    if preset.is_some_and(|name| KEYS_ONLY.contains(&name)) {
        return None;
    }
    let named = |federation: &&Federation| preset.is_some_and(|name| federation.presets.contains(&name));
    let reached = |federation: &&Federation| {
        !credential.only_to.is_empty() && credential.only_to.iter().all(|host| lies_below(host, federation.hosts))
    };
    FEDERATIONS.iter().find(|federation| named(federation) || reached(federation))
}
