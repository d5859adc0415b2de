//! Logins that are there already, in variables and in the files of tools, on their way into a policy. They are read, and left where they are.

/// Variables, of the environment and of `.env` files.
pub mod variables;

/// The files of tools: `gh`, AWS, gcloud, docker.
pub mod tools;

/// The policy that they make.
pub mod draft;

use keygress_policy::preset::Preset;
use zeroize::Zeroizing;

/// A login that was found.
pub struct Login {
    /// Where, in words.
    pub from: String,
    /// Its name in the policy.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How it is taken away where it was found, once the policy works.
    pub remedy: String,
}

/// What a login is. What is secret in it is wiped.
pub enum Kind {
    /// A key of an API that a preset knows.
    Key {
        /// The API.
        preset: &'static Preset,
        /// Its hosts, where they are not the preset's.
        hosts: Vec<String>,
        /// The key.
        value: Zeroizing<String>,
    },
    /// A login at a registry of images.
    Registry {
        /// The registry.
        host: String,
        /// The user.
        user: String,
        /// The password.
        password: Zeroizing<String>,
    },
    /// Long-lived keys of AWS.
    Aws {
        /// The access key id, which is no secret.
        access_key_id: String,
        /// The secret access key.
        secret_access_key: Zeroizing<String>,
        /// For which region the policy is to let sign.
        region: String,
    },
    /// A service account of Google Cloud.
    ServiceAccount {
        /// Its key file, JSON.
        key_file: Zeroizing<String>,
    },
    /// What gcloud holds for a person.
    Refresh {
        /// The client of gcloud.
        client_id: String,
        /// Its secret.
        client_secret: Zeroizing<String>,
        /// The refresh token.
        refresh_token: Zeroizing<String>,
    },
}

impl Kind {
    /// The hosts that the draft lets it go to, each by a rule of its own.
    fn hosts(&self) -> Vec<String> {
        match self {
            Self::Key { preset, hosts, .. } if hosts.is_empty() => exact_hosts(preset),
            Self::Key { hosts, .. } => hosts.clone(),
            Self::Registry { host, .. } => vec![host.clone()],
            // A bucket has a host of its own, and gets a rule of its own.
            Self::Aws { region, .. } => vec![format!("s3.{region}.amazonaws.com")],
            Self::ServiceAccount { .. } | Self::Refresh { .. } => vec!["storage.googleapis.com".to_owned()],
        }
    }
}

/// What was found in one place.
#[derive(Default)]
pub struct Found {
    /// Logins.
    pub logins: Vec<Login>,
    /// What looks like one and cannot be taken, with the reason.
    pub passed_over: Vec<String>,
}

impl Found {
    /// Both together. Of two logins at one host the later is passed over: a request has one credential.
    pub fn take(&mut self, other: Self) {
        for mut login in other.logins {
            let hosts = login.kind.hosts();
            if let Some(other) = self.logins.iter().find(|other| other.kind.hosts().iter().any(|host| hosts.contains(host))) {
                let why = format!("{}: {} goes to the same host; import it into a policy of its own", login.from, other.from);
                self.passed_over.push(why);
                continue;
            }
            let taken = |name: &str| self.logins.iter().any(|other| other.name == name);
            if taken(&login.name) {
                let numbered = (2..).map(|number| format!("{}-{number}", login.name)).find(|name| !taken(name));
                login.name = numbered.unwrap_or_default();
            }
            self.logins.push(login);
        }
        self.passed_over.extend(other.passed_over);
    }
}

/// The hosts of a preset that a rule with a credential may go to: none where each customer has one of its own.
fn exact_hosts(preset: &Preset) -> Vec<String> {
    preset.hosts.iter().filter(|host| !host.starts_with("*.")).map(|host| (*host).to_owned()).collect()
}

/// Why a key of this preset cannot be drafted from its value alone, if it cannot.
fn unfit(preset: &Preset) -> Option<String> {
    let vendor = preset.vendor;
    if preset.inject.starts_with("basic") {
        return Some(format!("a key of {vendor} goes with a user; write its credential by hand (`file: {{ path: …, user: … }}`)"));
    }
    exact_hosts(preset).is_empty().then(|| format!("every customer of {vendor} has a host of their own; write its credential by hand"))
}

/// A name of the policy: lower-case letters, digits and dashes.
fn name(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    if plain.starts_with(|c: char| c.is_ascii_lowercase()) { plain.to_owned() } else { format!("login-{plain}") }
}

#[cfg(test)]
mod tests;
