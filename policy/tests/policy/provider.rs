//! A list of providers as the proxy has one, but free of everything that makes them work.

use keygress_policy::Source;
use keygress_policy::compile::Policy;
use keygress_policy::material::MaterialKind;
use keygress_policy::problem::{Colour, Problem, SourceFile, render};
use schemars::JsonSchema;
use serde::Deserialize;

/// Keys that only the proxy understands.
type Keys = serde_json::Value;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Provider {
    File(Keys),
    Environment(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    Exec(Keys),
    Sealed(Keys),
    #[serde(rename = "oauth2_client_credentials")]
    OAuth2ClientCredentials(Keys),
    #[serde(rename = "oauth2_refresh_token")]
    OAuth2RefreshToken(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    #[serde(rename = "oauth2_jwt_bearer")]
    OAuth2JwtBearer(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    #[serde(rename = "oauth2_token_exchange")]
    OAuth2TokenExchange(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    SelfSignedJwt(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    Openbao(Keys),
    GcpWorkloadIdentity(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    GcpMetadata(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    GcpServiceAccount(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    GcpSecretManager(Keys),
    AzureManagedIdentity(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    AzureKeyVault(Keys),
    KubernetesToken(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    KubernetesSecret(Keys),
    SpiffeJwt(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    #[serde(rename = "spiffe_x509")]
    SpiffeX509(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    GithubApp(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    AwsWebIdentity(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    AwsAssumeRole(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    AwsContainer(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    AwsInstance(#[expect(dead_code, reason = "read, and of no interest here")] Keys),
    AwsSecretsManager(Keys),
    AwsParameterStore(Keys),
}

impl Source for Provider {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Environment(_) => "environment",
            Self::Exec(_) => "exec",
            Self::Sealed(_) => "sealed",
            Self::OAuth2ClientCredentials(_) => "oauth2_client_credentials",
            Self::OAuth2RefreshToken(_) => "oauth2_refresh_token",
            Self::OAuth2JwtBearer(_) => "oauth2_jwt_bearer",
            Self::OAuth2TokenExchange(_) => "oauth2_token_exchange",
            Self::SelfSignedJwt(_) => "self_signed_jwt",
            Self::Openbao(_) => "openbao",
            Self::GcpWorkloadIdentity(_) => "gcp_workload_identity",
            Self::GcpMetadata(_) => "gcp_metadata",
            Self::GcpServiceAccount(_) => "gcp_service_account",
            Self::GcpSecretManager(_) => "gcp_secret_manager",
            Self::AzureManagedIdentity(_) => "azure_managed_identity",
            Self::AzureKeyVault(_) => "azure_key_vault",
            Self::KubernetesToken(_) => "kubernetes_token",
            Self::KubernetesSecret(_) => "kubernetes_secret",
            Self::SpiffeJwt(_) => "spiffe_jwt",
            Self::SpiffeX509(_) => "spiffe_x509",
            Self::GithubApp(_) => "github_app",
            Self::AwsWebIdentity(_) => "aws_web_identity",
            Self::AwsAssumeRole(_) => "aws_assume_role",
            Self::AwsContainer(_) => "aws_container",
            Self::AwsInstance(_) => "aws_instance",
            Self::AwsSecretsManager(_) => "aws_secrets_manager",
            Self::AwsParameterStore(_) => "aws_parameter_store",
        }
    }

    fn yields(&self) -> MaterialKind {
        match self {
            Self::File(keys) | Self::Sealed(keys) if keys.get("user").is_some() => MaterialKind::UserPassword,
            Self::File(keys) | Self::Sealed(keys) if keys.get("access_key_id").is_some() => MaterialKind::AwsKeys,
            Self::Exec(keys) if keys["yields"] == "aws_keys" => MaterialKind::AwsKeys,
            Self::Exec(keys) if keys["yields"] == "user_password" => MaterialKind::UserPassword,
            Self::File(keys) if keys.get("certificate").is_some() => MaterialKind::Certificate,
            Self::File(keys) if keys.get("private_key").is_some() => MaterialKind::PrivateKey,
            Self::Exec(keys) if keys["yields"] == "certificate" => MaterialKind::Certificate,
            Self::Exec(keys) if keys["yields"] == "private_key" => MaterialKind::PrivateKey,
            Self::OAuth2ClientCredentials(keys) if keys["dpop"] == true => MaterialKind::BoundToken,
            Self::Openbao(keys) if keys["secret"].get("pki").is_some() => MaterialKind::Certificate,
            Self::Openbao(keys)
            | Self::AwsSecretsManager(keys)
            | Self::AwsParameterStore(keys)
            | Self::GcpSecretManager(keys)
            | Self::AzureKeyVault(keys)
            | Self::KubernetesSecret(keys)
                if keys.get("user_field").is_some() =>
            {
                MaterialKind::UserPassword
            }
            Self::SpiffeX509(_) => MaterialKind::Certificate,
            Self::AwsWebIdentity(_) | Self::AwsAssumeRole(_) | Self::AwsContainer(_) | Self::AwsInstance(_) => MaterialKind::AwsKeys,
            _ => MaterialKind::Token,
        }
    }

    fn is_static(&self) -> bool {
        match self {
            Self::Openbao(keys) => keys["secret"].get("dynamic").or(keys["secret"].get("pki")).is_none(),
            Self::AwsSecretsManager(_) | Self::AwsParameterStore(_) => true,
            Self::GcpSecretManager(_) | Self::AzureKeyVault(_) | Self::KubernetesSecret(_) => true,
            Self::File(keys) => keys["rotates"] != true,
            _ => matches!(self, Self::Environment(_) | Self::Sealed(_)),
        }
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let Self::File(keys) = self else { return vec![] };
        let path = keys.as_str().or(keys["path"].as_str()).unwrap_or_default();
        if path.starts_with('/') { vec![] } else { vec![(format!("the path `{path}` is relative"), "write an absolute path".into())] }
    }
}

pub type Compiled = Result<(Policy<Provider>, Vec<Problem>), Vec<Problem>>;

pub fn files(texts: &[(&str, &str)]) -> Vec<SourceFile> {
    texts.iter().map(|(name, text)| SourceFile { name: (*name).to_owned(), text: (*text).to_owned() }).collect()
}

/// Compiles on 2026-11-24.
pub fn compile(files: &[SourceFile]) -> Compiled {
    Policy::compile(files, jiff::civil::date(2026, 11, 24))
}

/// Compiles one file that must be without errors.
pub fn policy(text: &str) -> Policy<Provider> {
    let files = files(&[("policy.yaml", text)]);
    compile(&files).map(|(policy, _)| policy).unwrap_or_else(|problems| panic!("{}", render(&problems, &files, Colour::Plain)))
}

/// What people read of the errors and warnings of some files.
pub fn messages(texts: &[(&str, &str)]) -> String {
    let files = files(texts);
    let problems = compile(&files).map_or_else(|problems| problems, |(_, warnings)| warnings);
    render(&problems, &files, Colour::Plain)
}

/// The codes of the errors and warnings of one file.
pub fn codes(text: &str) -> Vec<&'static str> {
    let problems = compile(&files(&[("policy.yaml", text)])).map_or_else(|problems| problems, |(_, warnings)| warnings);
    problems.iter().map(|problem| problem.code).collect()
}
