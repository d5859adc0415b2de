//! 4 · Credentials kept ready. Off the request path a slot fetches, renews and revokes; on it a request takes what is ready.

/// All slots and leases of the process: which slot belongs to whom, and when it ends.
mod keyring;

/// What the kill switch does to slots and leases, and what leases there are.
mod recall;

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

/// For what a provider fetches.
mod purpose;

/// What a provider may use of the world.
mod tools;

/// The HTTP client of the providers.
mod http;

/// Secrets and lifetimes as issuers write them in JSON.
mod wire;

/// A client certificate for the calls of a provider.
mod identity;

/// JSON Web Tokens that keygress signs.
mod jwt;

/// What the OAuth 2.0 grants share.
mod oauth2;

/// What a provider itself must keep: turns at it, and its replacement in one step.
mod state;

/// What the providers of AWS keys have in common.
mod aws;

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

/// `oauth2_refresh_token: { token_url, client_id, refresh_token_file, … }`.
pub mod oauth2_refresh_token;

/// `oauth2_jwt_bearer: { token_url, assertion, … }`.
pub mod oauth2_jwt_bearer;

/// `oauth2_token_exchange: { token_url, subject, … }`.
pub mod oauth2_token_exchange;

/// `self_signed_jwt: { key, claims, … }`.
pub mod self_signed_jwt;

/// `openbao: { address, auth, secret, field, … }`.
pub mod openbao;

/// `gcp_workload_identity: { audience, subject, … }`.
pub mod gcp_workload_identity;

/// `gcp_metadata: { … }`.
pub mod gcp_metadata;

/// `azure_managed_identity: { resource, … }`.
pub mod azure_managed_identity;

/// `kubernetes_token: { namespace, service_account, audience, … }`.
pub mod kubernetes_token;

/// `github_app: { app, key_file, installation, permissions, … }`.
pub mod github_app;

/// `aws_web_identity: { role_arn, token: { file: PATH }, … }`.
pub mod aws_web_identity;

/// `aws_assume_role: { role_arn, from: { … }, … }`.
pub mod aws_assume_role;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keygress_policy::inject::Rendered;
use keygress_policy::material::{Material, MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::needles::Needles;

use purpose::Purpose;

pub use keyring::{Credentials, is_same};
pub use recall::LeaseInForce;
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
    /// An OAuth2 access token by a refresh token, which is kept where the issuer rotates it (RFC 6749, section 6).
    Oauth2RefreshToken(oauth2_refresh_token::Oauth2RefreshToken),
    /// An OAuth2 access token for a JSON Web Token (RFC 7523).
    Oauth2JwtBearer(oauth2_jwt_bearer::Oauth2JwtBearer),
    /// A token for another one, such as the workload's own (RFC 8693).
    Oauth2TokenExchange(oauth2_token_exchange::Oauth2TokenExchange),
    /// A JSON Web Token that keygress signs itself.
    SelfSignedJwt(self_signed_jwt::SelfSignedJwt),
    /// A secret of OpenBao or Vault: stored, or made for a lease.
    Openbao(openbao::Openbao),
    /// A Google Cloud token by workload identity federation.
    GcpWorkloadIdentity(gcp_workload_identity::GcpWorkloadIdentity),
    /// A token of the service account of a Google Cloud machine.
    GcpMetadata(gcp_metadata::GcpMetadata),
    /// An access token of the managed identity of an Azure machine.
    AzureManagedIdentity(azure_managed_identity::AzureManagedIdentity),
    /// A token of a Kubernetes service account, by the TokenRequest API.
    KubernetesToken(kubernetes_token::KubernetesToken),
    /// An installation token of a GitHub App, for the named repositories and permissions.
    GithubApp(github_app::GithubApp),
    /// Keys of an AWS role for a token of another identity provider.
    AwsWebIdentity(aws_web_identity::AwsWebIdentity),
    /// Keys of an AWS role for other AWS keys.
    AwsAssumeRole(aws_assume_role::AwsAssumeRole),
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
            Self::Oauth2RefreshToken(provider) => provider,
            Self::Oauth2JwtBearer(provider) => provider,
            Self::Oauth2TokenExchange(provider) => provider,
            Self::SelfSignedJwt(provider) => provider,
            Self::Openbao(provider) => provider,
            Self::GcpWorkloadIdentity(provider) => provider,
            Self::GcpMetadata(provider) => provider,
            Self::AzureManagedIdentity(provider) => provider,
            Self::KubernetesToken(provider) => provider,
            Self::GithubApp(provider) => provider,
            Self::AwsWebIdentity(provider) => provider,
            Self::AwsAssumeRole(provider) => provider,
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

    /// Obtains fresh material for this purpose. Bounds its own time; dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// What is missing, in words that are free of secrets and of text from outside.
    fn fetch<'a>(&'a self, tools: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>>;

    /// Whether a fetch that nobody wants any more may be dropped half-way. Not where the issuer gives something to be kept or revoked.
    fn may_be_dropped(&self) -> bool {
        !self.revokes()
    }

    /// Whether the issuer can revoke what it yields. Only then does a lease keep the handle of [`Fetched`].
    fn revokes(&self) -> bool {
        false
    }

    /// Asks the issuer to revoke what this handle names; called only where [`Provider::revokes`].
    ///
    /// # Errors
    /// As [`Provider::fetch`].
    fn revoke<'a>(&'a self, tools: &'a Tools, handle: &'a Secret) -> Work<'a, Result<(), String>> {
        let _ = (tools, handle);
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
    /// What revokes it: the token itself, or the name of the lease at the issuer; `None` where nothing does.
    handle: Option<Secret>,
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
