//! The environment of the command: how every runtime finds the proxy and trusts its CA, and nothing that holds a key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;

use crate::Policy;

use super::bundle::Bundle;
use super::comfort;
use super::java;

/// Where clients look for the proxy. Both spellings: curl reads only the lower-case `http_proxy`, gRPC only the lower-case `https_proxy`.
pub(in crate::cli) const PROXY: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "KEYGRESS_PROXY"];

/// What would lead round the proxy. An `ALL_PROXY` of the parent would win over ours for some clients.
const DETOURS: &[&str] = &["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"];

/// Variables of runtimes that replace their roots by a file.
const ROOTS: &[&str] = &[
    "SSL_CERT_FILE",                      // OpenSSL, curl, httpx, Go, Ruby, uv
    "REQUESTS_CA_BUNDLE",                 // Python requests, and what is built on it
    "CURL_CA_BUNDLE",                     // curl
    "AWS_CA_BUNDLE",                      // AWS command line and SDKs
    "GIT_SSL_CAINFO",                     // git
    "PIP_CERT",                           // pip
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",   // gRPC
    "CARGO_HTTP_CAINFO",                  // cargo
    "BUNDLE_SSL_CA_CERT",                 // Ruby bundler
    "HTTPLIB2_CA_CERTS",                  // Python httplib2
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", // gcloud
    "NIX_SSL_CERT_FILE",                  // Nix
];

/// Variables of runtimes that add a file to their own roots.
const EXTRA_ROOTS: &[&str] = &["NODE_EXTRA_CA_CERTS", "DENO_CERT", "KEYGRESS_CA"];

/// What changes between our environment and the command's.
pub(super) struct Environment {
    /// Set, or replaced.
    pub(super) set: BTreeMap<String, OsString>,
    /// Removed, unless also set.
    pub(super) removed: Vec<String>,
}

/// What an environment is made from.
pub(super) struct Given<'g> {
    /// Id of the task.
    pub(super) task: &'g str,
    /// The proxy, with the task's token.
    pub(super) proxy_url: &'g str,
    /// The listener of the task, which needs no token: routes, and Java.
    pub(super) routes: SocketAddr,
    /// Environment variable → placeholder.
    pub(super) placeholders: &'g BTreeMap<String, String>,
    /// The certificates to trust.
    pub(super) bundle: &'g Bundle,
    /// The policy, for what its providers read.
    pub(super) policy: &'g Policy,
    /// Hosts that the command reaches without the proxy.
    pub(super) direct: &'g [String],
}

impl Environment {
    /// The environment of a command.
    pub(super) fn new(given: &Given<'_>) -> Self {
        let mut set = BTreeMap::new();
        set.extend(PROXY.iter().map(|name| ((*name).to_owned(), OsString::from(given.proxy_url))));
        set.extend(ROOTS.iter().map(|name| ((*name).to_owned(), given.bundle.all.clone().into_os_string())));
        set.extend(EXTRA_ROOTS.iter().map(|name| ((*name).to_owned(), given.bundle.ca.clone().into_os_string())));
        set.extend(given.placeholders.iter().map(|(name, value)| (name.clone(), OsString::from(value))));
        set.insert("KEYGRESS_TASK".to_owned(), OsString::from(given.task));
        set.insert("KEYGRESS_ROUTES".to_owned(), OsString::from(format!("http://{}", given.routes)));
        let own = std::env::var("JAVA_TOOL_OPTIONS").map(|own| own + " ").unwrap_or_default();
        let options = java::options(given.routes, &given.bundle.java, given.direct);
        set.insert("JAVA_TOOL_OPTIONS".to_owned(), OsString::from(own + &options));
        // Node 22.21 and later read the proxy variables only when told to.
        set.insert("NODE_USE_ENV_PROXY".to_owned(), OsString::from("1"));
        if !given.direct.is_empty() {
            set.insert("NO_PROXY".to_owned(), OsString::from(given.direct.join(",")));
            set.insert("no_proxy".to_owned(), OsString::from(given.direct.join(",")));
        }
        let mut removed: Vec<String> = DETOURS.iter().map(|name| (*name).to_owned()).collect();
        removed.extend(read_by_providers(given.policy));
        comfort::add(given.policy, &format!("http://{}", given.routes), &mut set, &mut removed);
        Self { set, removed }
    }

    /// Applies the changes to a command that inherits our environment.
    pub(super) fn apply(&self, command: &mut tokio::process::Command) {
        for name in &self.removed {
            command.env_remove(name);
        }
        command.envs(&self.set);
    }
}

/// Variables from which the policy's providers take a credential: the command must not have them.
fn read_by_providers(policy: &Policy) -> impl Iterator<Item = String> {
    policy.credentials().iter().flat_map(|credential| credential.source.variables()).map(str::to_owned)
}
