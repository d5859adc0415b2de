//! The environment of the command: how every runtime finds the proxy and trusts its CA, and nothing that holds a key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;

use crate::Policy;
use crate::runtimes::{PROXY, java};

use super::bundle::Bundle;
use super::comfort;

/// What would lead round the proxy. An `ALL_PROXY` of the parent would win over ours for some clients.
const DETOURS: &[&str] = &["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"];

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
        set.extend(given.bundle.files.variables().map(|(name, file)| (name.to_owned(), file.as_os_str().to_owned())));
        set.extend(given.placeholders.iter().map(|(name, value)| (name.clone(), OsString::from(value))));
        set.insert("KEYGRESS_TASK".to_owned(), OsString::from(given.task));
        set.insert("KEYGRESS_ROUTES".to_owned(), OsString::from(format!("http://{}", given.routes)));
        let own = std::env::var("JAVA_TOOL_OPTIONS").map(|own| own + " ").unwrap_or_default();
        let options = java::options(given.routes, &given.bundle.files.java, given.direct);
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
