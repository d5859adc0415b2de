//! 4 · Credentials kept ready. Off the request path a slot fetches, renews and revokes; on it a request takes what is ready.

/// All slots and leases of the process: which slot belongs to whom, and when it ends.
mod keyring;

/// One credential for one holder: the ready value and the single flight that fetches it.
mod slot;

/// One fetch: provider, injection, audit.
mod mint;

/// When a value is renewed, and when it is dropped.
mod renewal;

/// When to try again after a failure.
mod backoff;

/// One issuance, and its revocation.
mod lease;

/// A name for a secret that tells nothing about it.
mod fingerprint;

/// What a provider may use of the world.
mod tools;

/// The HTTP client of the providers.
mod http;

/// Secrets and lifetimes as issuers write them in JSON.
mod wire;

/// Tells when a watched folder changed.
mod changes;

/// `file: PATH`.
pub mod file;

/// `exec: { command: [PROGRAM, …] }`.
pub mod exec;

/// `environment: NAME`.
pub mod environment;

/// `oauth2_client_credentials: { token_url, client_id, … }`.
pub mod oauth2_client_credentials;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keygress_policy::inject::Rendered;
use keygress_policy::material::{Material, MaterialKind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::needles::Needles;

pub use keyring::Credentials;
pub use slot::Slot;
pub use tools::Tools;

/// The list of providers: the YAML key is the file. A new one is its file, its line here and its line in `Source::provider`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A file, read again when it changes.
    File(file::File),
    /// A program that prints the credential, with its expiry, as JSON.
    Exec(exec::Exec),
    /// An environment variable of keygress itself. For development only.
    Environment(environment::Environment),
    /// An OAuth2 access token by the client credentials grant (RFC 6749, section 4.4).
    Oauth2ClientCredentials(oauth2_client_credentials::Oauth2ClientCredentials),
}

impl Source {
    /// The environment variables that it reads: `run` keeps them from its command.
    #[must_use]
    pub fn variables(&self) -> Vec<&str> {
        self.provider().variables()
    }

    fn provider(&self) -> &dyn Provider {
        match self {
            Self::File(provider) => provider,
            Self::Exec(provider) => provider,
            Self::Environment(provider) => provider,
            Self::Oauth2ClientCredentials(provider) => provider,
        }
    }
}

/// What each provider does: obtain material, and give it back. Never called on the request path.
trait Provider: Send + Sync {
    /// Its YAML key.
    fn kind(&self) -> &'static str;

    /// What it yields.
    fn yields(&self) -> MaterialKind;

    /// Whether what it yields lives until somebody rotates it.
    fn is_static(&self) -> bool;

    /// What is wrong with its shape, as (message, help), in the words of the YAML.
    fn complaints(&self) -> Vec<(String, String)>;

    /// The files whose change calls for another fetch.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The environment variables that it reads.
    fn variables(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Obtains fresh material. Bounds its own time; dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// What is missing, in words that are free of secrets and of text from outside.
    fn fetch<'a>(&'a self, tools: &'a Tools) -> Work<'a, Result<Fetched, String>>;

    /// Whether the issuer can revoke what it yields. Only then does a lease keep the material.
    fn revokes(&self) -> bool {
        false
    }

    /// Asks the issuer to revoke; called only where [`Provider::revokes`].
    ///
    /// # Errors
    /// As [`Provider::fetch`].
    fn revoke<'a>(&'a self, tools: &'a Tools, material: &'a Material) -> Work<'a, Result<(), String>> {
        let _ = (tools, material);
        Box::pin(async { Err(format!("the provider `{}` cannot revoke", self.kind())) })
    }
}

/// A provider at work: boxed, because this is off the request path and the list reads better so.
type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a provider obtained.
#[derive(Debug)]
struct Fetched {
    material: Material,
    /// How long it lives, counted from before it was asked for; `None` where it does not expire.
    lifetime: Option<Duration>,
}

impl keygress_policy::Source for Source {
    fn kind(&self) -> &'static str {
        self.provider().kind()
    }

    fn yields(&self) -> MaterialKind {
        self.provider().yields()
    }

    fn is_static(&self) -> bool {
        self.provider().is_static()
    }

    fn complaints(&self) -> Vec<(String, String)> {
        self.provider().complaints()
    }
}

pub use keygress_policy::workload::Holder;

/// A rendered value that may be used now.
#[derive(Debug)]
pub struct Ready {
    /// What is put on the request.
    pub rendered: Rendered,
    /// What must not come back; `None` where the value is too short to be told from ordinary text.
    pub needles: Option<Arc<Needles>>,
    /// Keyed fingerprint: the same for the same secret.
    pub fingerprint: Arc<str>,
    /// The lease under which it is used.
    pub lease: Arc<str>,
    /// When it must no longer leave; `None` where it does not expire. Monotonic.
    pub expires: Option<Instant>,
}

/// Why there is no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// What is missing, in words for the person who called; free of secrets and of text from outside.
    pub reason: String,
    /// When to try again, in seconds, where that can help.
    pub retry_after: Option<u64>,
}

/// What ending a task, or the process, did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Leases that the issuer revoked.
    pub revoked: usize,
    /// Leases that the issuer cannot revoke: dropped here at once.
    pub dropped: usize,
    /// Leases whose revocation failed.
    pub failed: usize,
}
