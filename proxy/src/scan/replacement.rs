use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use keygress_policy::destination::HostPattern;
use keygress_policy::preset;
use keygress_policy::reach::lies_below;

use super::Sighting;
use super::import::presets_of;
use super::row::{Because, Replacement};
use crate::{Credential, Policy};

/// Names of which all hosts of a platform are, for keys that have no preset.
const PLATFORMS: [(&str, &[&str]); 3] = [
    ("aws-", &["amazonaws.com", "amazonaws.com.cn", "api.aws"]),
    ("azure-storage", &["core.windows.net"]),
    ("azure-client-secret", &["azure.com", "azure.net", "windows.net", "login.microsoftonline.com", "graph.microsoft.com"]),
];

/// What is known of the credentials of a policy.
pub(super) struct Replacements<'p> {
    policy: Option<&'p Policy>,
    /// The credentials that had a value, by fingerprint.
    values: BTreeMap<String, BTreeSet<String>>,
}

impl<'p> Replacements<'p> {
    pub(super) fn new(policy: Option<&'p Policy>, values: BTreeMap<String, BTreeSet<String>>) -> Self {
        Self { policy, values }
    }

    /// The files that the policy names as sources.
    pub(super) fn sources(&self) -> Vec<PathBuf> {
        let credentials = self.policy.map(Policy::credentials).unwrap_or_default();
        credentials.iter().flat_map(|credential| credential.source.reads()).filter_map(|path| std::fs::canonicalize(path).ok()).collect()
    }

    /// The credentials that take the place of a key, the surest first.
    pub(super) fn of(&self, sighting: &Sighting, fingerprint: Option<&str>) -> Vec<Replacement> {
        let mut found: BTreeMap<String, Because> = BTreeMap::new();
        let mut add = |name: &str, because: Because| {
            let known = found.entry(name.to_owned()).or_insert(because);
            *known = (*known).min(because);
        };
        for name in fingerprint.and_then(|print| self.values.get(print)).into_iter().flatten() {
            add(name, Because::SameValue);
        }
        let presets = presets(sighting);
        for credential in self.policy.map(Policy::credentials).unwrap_or_default() {
            if credential.preset.is_some_and(|preset| presets.contains(&preset.name)) {
                add(credential.name.as_str(), Because::Preset);
            } else if reaches(credential, &presets) || reaches_platform(credential, &sighting.kind) {
                add(credential.name.as_str(), Because::Destination);
            }
        }
        let mut found: Vec<_> = found.into_iter().map(|(credential, because)| Replacement { because, credential }).collect();
        found.sort();
        found
    }
}

/// The presets whose key this is.
pub(super) fn presets(sighting: &Sighting) -> Vec<&'static str> {
    match sighting.shape {
        Some(shape) => shape.presets.to_vec(),
        None => presets_of(&sighting.kind),
    }
}

fn reaches(credential: &Credential, presets: &[&str]) -> bool {
    let hosts = presets.iter().filter_map(|name| preset::find(name)).flat_map(|preset| preset.hosts);
    let hosts: Vec<HostPattern> = hosts.filter_map(|host| HostPattern::parse(host).ok()).collect();
    credential.only_to.iter().any(|own| hosts.iter().any(|host| own.covers(host) || host.covers(own)))
}

fn reaches_platform(credential: &Credential, kind: &str) -> bool {
    let platform = PLATFORMS.iter().find(|(prefix, _)| kind.starts_with(prefix));
    platform.is_some_and(|(_, names)| credential.only_to.iter().any(|host| lies_below(host, names)))
}
