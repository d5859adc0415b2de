//! 4 · Credentials kept ready. Off the request path a slot fetches, renews and revokes; on it a request takes what is ready.

/// What each provider does.
mod provider;

/// All slots and leases of the process: which slot belongs to whom, and when it ends.
mod keyring;

/// What the kill switch does to slots and leases, and what leases there are.
mod recall;

/// What of a lease outlives the process, and what becomes of those that an earlier one left.
mod kept;

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

/// A placeholder as its application holds it.
mod held;

/// For what a provider fetches.
mod purpose;

/// What a provider may use of the world.
mod tools;

/// Starts the programs of the policy.
mod programs;

/// The HTTP client of the providers.
mod http;

/// The same client, for what is not an issuer.
mod site;

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

/// What a store keeps, and which part of it is the secret.
mod stored;

/// What one provider takes from another.
mod lent;

/// What the providers of AWS have in common.
mod aws;

/// The API server of Kubernetes.
mod kubernetes;

/// The SPIFFE Workload API.
mod spiffe;

/// Tells when a watched folder changed.
mod changes;

/// `file: PATH`.
pub mod file;

/// `exec: { command: [PROGRAM, …] }`.
pub mod exec;

/// `sealed: { value, key_file, … }`.
pub mod sealed;

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

/// `gcp_service_account: { key_file, token, … }`.
pub mod gcp_service_account;

/// `gcp_secret_manager: { from: { … }, secret, … }`.
pub mod gcp_secret_manager;

/// `azure_managed_identity: { resource, … }`.
pub mod azure_managed_identity;

/// `azure_key_vault: { from: { … }, vault_url, secret, … }`.
pub mod azure_key_vault;

/// `kubernetes_token: { namespace, service_account, audience, … }`.
pub mod kubernetes_token;

/// `kubernetes_secret: { namespace, name, field, … }`.
pub mod kubernetes_secret;

/// `spiffe_jwt: { socket, audience, … }`.
pub mod spiffe_jwt;

/// `spiffe_x509: { socket, … }`.
pub mod spiffe_x509;

/// `github_app: { app, key_file, installation, permissions, … }`.
pub mod github_app;

/// `aws_web_identity: { role_arn, token: { file: PATH }, … }`.
pub mod aws_web_identity;

/// `aws_assume_role: { role_arn, from: { … }, … }`.
pub mod aws_assume_role;

/// `aws_container: { … }`.
pub mod aws_container;

/// `aws_instance: { … }`.
pub mod aws_instance;

/// `aws_secrets_manager: { from: { … }, secret, region, … }`.
pub mod aws_secrets_manager;

/// `aws_parameter_store: { from: { … }, parameter, region, … }`.
pub mod aws_parameter_store;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use keygress_policy::inject::Rendered;
use keygress_policy::material::MaterialKind;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::client_auth::ClientAuth;
use crate::needles::Needles;

use provider::{Fetched, Provider, Work};
use purpose::Purpose;

pub use fingerprint::{Fingerprints, nonce};
pub use held::held_text;
pub use kept::may_end;
pub use keyring::{Credentials, Kept, is_same};
pub use programs::Programs;
pub use recall::LeaseInForce;
pub use site::{Site, Untaken};
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
    /// A secret that stands in the policy itself, sealed to the key of the proxy.
    Sealed(sealed::Sealed),
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
    /// A token of a Google Cloud service account, by its key file.
    GcpServiceAccount(gcp_service_account::GcpServiceAccount),
    /// A secret of Google Cloud's Secret Manager.
    GcpSecretManager(gcp_secret_manager::GcpSecretManager),
    /// An access token of the managed identity of an Azure machine.
    AzureManagedIdentity(azure_managed_identity::AzureManagedIdentity),
    /// A secret of Azure Key Vault.
    AzureKeyVault(azure_key_vault::AzureKeyVault),
    /// A token of a Kubernetes service account, by the TokenRequest API.
    KubernetesToken(kubernetes_token::KubernetesToken),
    /// A Secret of Kubernetes, by the API.
    KubernetesSecret(kubernetes_secret::KubernetesSecret),
    /// A JWT-SVID of keygress itself, by the SPIFFE Workload API.
    SpiffeJwt(spiffe_jwt::SpiffeJwt),
    /// The X.509-SVID of keygress itself, by the SPIFFE Workload API.
    SpiffeX509(spiffe_x509::SpiffeX509),
    /// An installation token of a GitHub App, for the named repositories and permissions.
    GithubApp(github_app::GithubApp),
    /// Keys of an AWS role for a token of another identity provider.
    AwsWebIdentity(aws_web_identity::AwsWebIdentity),
    /// Keys of an AWS role for other AWS keys.
    AwsAssumeRole(aws_assume_role::AwsAssumeRole),
    /// Keys of the role of the container or pod in which keygress runs.
    AwsContainer(aws_container::AwsContainer),
    /// Keys of the role of the EC2 instance on which keygress runs.
    AwsInstance(aws_instance::AwsInstance),
    /// A secret of AWS Secrets Manager.
    AwsSecretsManager(aws_secrets_manager::AwsSecretsManager),
    /// A parameter of the Parameter Store of AWS Systems Manager.
    AwsParameterStore(aws_parameter_store::AwsParameterStore),
}

impl Source {
    /// The environment variables that it reads: `run` keeps them from its command.
    #[must_use]
    pub fn variables(&self) -> Vec<&str> {
        self.provider().variables()
    }

    /// The files that it reads.
    #[must_use]
    pub fn reads(&self) -> Vec<&Path> {
        self.provider().reads()
    }

    /// The files that it replaces.
    #[must_use]
    pub fn writes(&self) -> Vec<&Path> {
        self.provider().writes()
    }

    /// The programs that it starts, with their arguments.
    #[must_use]
    pub fn programs(&self) -> Vec<&[String]> {
        self.provider().programs()
    }

    fn provider(&self) -> &dyn Provider {
        match self {
            Self::File(provider) => provider,
            Self::Exec(provider) => provider,
            Self::Sealed(provider) => provider,
            Self::Environment(provider) => provider,
            Self::Oauth2ClientCredentials(provider) => provider,
            Self::Oauth2RefreshToken(provider) => provider,
            Self::Oauth2JwtBearer(provider) => provider,
            Self::Oauth2TokenExchange(provider) => provider,
            Self::SelfSignedJwt(provider) => provider,
            Self::Openbao(provider) => provider,
            Self::GcpWorkloadIdentity(provider) => provider,
            Self::GcpMetadata(provider) => provider,
            Self::GcpServiceAccount(provider) => provider,
            Self::GcpSecretManager(provider) => provider,
            Self::AzureManagedIdentity(provider) => provider,
            Self::AzureKeyVault(provider) => provider,
            Self::KubernetesToken(provider) => provider,
            Self::KubernetesSecret(provider) => provider,
            Self::SpiffeJwt(provider) => provider,
            Self::SpiffeX509(provider) => provider,
            Self::GithubApp(provider) => provider,
            Self::AwsWebIdentity(provider) => provider,
            Self::AwsAssumeRole(provider) => provider,
            Self::AwsContainer(provider) => provider,
            Self::AwsInstance(provider) => provider,
            Self::AwsSecretsManager(provider) => provider,
            Self::AwsParameterStore(provider) => provider,
        }
    }
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
    /// What is shown in the handshake with the destination, where that is how it is put on.
    pub client_auth: Option<Arc<ClientAuth>>,
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
