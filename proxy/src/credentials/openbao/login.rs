use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use keygress_policy::material::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::identity::ClientCertificate;
use super::super::oauth2::Assertion;
use super::super::wire::{Seconds, SecretText};
use super::super::{Purpose, file};
use super::api::{Server, is_path, path_help};

/// How keygress logs in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Login {
    /// Not at all: the path of a file that holds a token, which something else, such as an agent, keeps valid.
    TokenFile(PathBuf),
    /// With an AppRole.
    AppRole(AppRole),
    /// With a Kubernetes service-account token.
    Kubernetes(Kubernetes),
    /// With a JWT.
    Jwt(Jwt),
    /// With a client certificate.
    Certificate(Certificate),
}

/// An AppRole.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AppRole {
    /// Where the method is mounted. Default `approle`.
    mount: Option<String>,
    /// The role id.
    role_id: String,
    /// The path of the file that holds the secret id.
    secret_id_file: PathBuf,
}

/// A Kubernetes service-account token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Kubernetes {
    /// Where the method is mounted. Default `kubernetes`.
    mount: Option<String>,
    /// The role.
    role: String,
    /// The path of the projected token.
    token_file: PathBuf,
}

/// A JWT.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Jwt {
    /// Where the method is mounted. Default `jwt`.
    mount: Option<String>,
    /// The role.
    role: String,
    /// The JWT: a `file`; a `self_signed_jwt`, which can name workload and task; a `kubernetes_token`; or a `spiffe_jwt`.
    token: Assertion,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    /// Where the method is mounted. Default `cert`.
    mount: Option<String>,
    /// The role. Default: whichever trusts the certificate.
    role: Option<String>,
    /// The certificate, which is shown when logging in.
    shown: ClientCertificate,
}

/// A token of OpenBao that keygress may use.
pub(super) enum Session {
    /// Made for one fetch: ours to end.
    Ours {
        /// The token.
        token: Secret,
        /// How long it lives; `None` where it does not end.
        lifetime: Option<Duration>,
        /// Whether it can be ended. A batch token cannot.
        ends: bool,
    },
    /// Somebody else's.
    Lent(Secret),
}

#[derive(Serialize)]
struct AppRoleLogin<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Serialize)]
struct JwtLogin<'a> {
    role: &'a str,
    jwt: &'a str,
}

#[derive(Serialize)]
struct CertificateLogin<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a String>,
}

#[derive(Deserialize)]
struct LoginResponse {
    auth: AuthResponse,
}

#[derive(Deserialize)]
struct AuthResponse {
    client_token: SecretText,
    lease_duration: Option<Seconds>,
    token_type: Option<String>,
}

impl Login {
    /// What is wrong with its shape, as (message, help).
    pub(super) fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = match self {
            Self::TokenFile(path) => file::complaint(path).into_iter().collect(),
            Self::AppRole(login) => file::complaint(&login.secret_id_file).into_iter().collect(),
            Self::Kubernetes(login) => file::complaint(&login.token_file).into_iter().collect(),
            Self::Jwt(login) => login.token.complaints(),
            Self::Certificate(login) => login.shown.complaints().collect(),
        };
        complaints.extend(self.mount().filter(|mount| !is_path(mount)).map(path_help));
        let role = match self {
            Self::TokenFile(_) => None,
            Self::AppRole(login) => Some(&login.role_id),
            Self::Kubernetes(Kubernetes { role, .. }) | Self::Jwt(Jwt { role, .. }) => Some(role),
            Self::Certificate(login) => login.role.as_ref(),
        };
        if role.is_some_and(String::is_empty) {
            complaints.push(("the role is empty".to_owned(), "write the role that OpenBao knows".to_owned()));
        }
        complaints
    }

    /// The files that are read.
    pub(super) fn reads(&self) -> Vec<&Path> {
        match self {
            Self::TokenFile(path) => vec![path],
            Self::AppRole(login) => vec![&login.secret_id_file],
            Self::Kubernetes(login) => vec![&login.token_file],
            Self::Jwt(login) => login.token.reads(),
            Self::Certificate(login) => login.shown.reads().to_vec(),
        }
    }

    /// Logs in.
    ///
    /// # Errors
    /// What is missing, in words of ours.
    pub(super) async fn begin(&self, server: &Server<'_>, purpose: &Purpose) -> Result<Session, String> {
        let mut identity = None;
        let body = match self {
            Self::TokenFile(_) => return self.own_token().await.map(Session::Lent),
            Self::AppRole(login) => {
                let secret_id = file::read(&login.secret_id_file).await?;
                serde_json::to_vec(&AppRoleLogin { role_id: &login.role_id, secret_id: text(&secret_id)? })
            }
            Self::Kubernetes(login) => {
                let token = file::read(&login.token_file).await?;
                serde_json::to_vec(&JwtLogin { role: &login.role, jwt: text(&token)? })
            }
            Self::Jwt(login) => {
                let token = login.token.token(server.tools, purpose).await?;
                serde_json::to_vec(&JwtLogin { role: &login.role, jwt: text(&token)? })
            }
            Self::Certificate(login) => {
                identity = Some(login.shown.read().await?);
                serde_json::to_vec(&CertificateLogin { name: login.role.as_ref() })
            }
        };
        let body = body.map_err(|_| "the login cannot be written as JSON".to_owned())?;
        let path = format!("auth/{}/login", self.mount().unwrap_or_default());
        let AuthResponse { client_token: SecretText(token), lease_duration, token_type } =
            server.call_as(identity, Method::POST, &path, None, body).await?.read::<LoginResponse>("logging in")?.auth;
        file::check(token.expose()).map_err(|_| "OpenBao gave a token that is none".to_owned())?;
        let lifetime = lease_duration.filter(|Seconds(seconds)| *seconds > 0).map(|Seconds(seconds)| Duration::from_secs(seconds));
        Ok(Session::Ours { token, lifetime, ends: token_type.is_none_or(|kind| kind != "batch") })
    }

    /// The token of somebody else.
    ///
    /// # Errors
    /// What is wrong with its file.
    pub(super) async fn own_token(&self) -> Result<Secret, String> {
        match self {
            Self::TokenFile(path) => file::read(path).await,
            Self::AppRole(_) | Self::Kubernetes(_) | Self::Jwt(_) | Self::Certificate(_) => Err("there is no `token_file`".to_owned()),
        }
    }

    fn mount(&self) -> Option<&str> {
        match self {
            Self::TokenFile(_) => None,
            Self::AppRole(login) => Some(login.mount.as_deref().unwrap_or("approle")),
            Self::Kubernetes(login) => Some(login.mount.as_deref().unwrap_or("kubernetes")),
            Self::Jwt(login) => Some(login.mount.as_deref().unwrap_or("jwt")),
            Self::Certificate(login) => Some(login.mount.as_deref().unwrap_or("cert")),
        }
    }
}

impl Session {
    /// The token.
    pub(super) fn token(&self) -> &Secret {
        match self {
            Self::Ours { token, .. } | Self::Lent(token) => token,
        }
    }

    /// How long it lives; `None` where it does not end, or somebody else sees to that.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        match self {
            Self::Ours { lifetime, .. } => *lifetime,
            Self::Lent(_) => None,
        }
    }

    /// What revokes a lease that it made: itself where it is ours, else the name of the lease.
    pub(super) fn handle(&self, lease: &str) -> Option<Secret> {
        match self {
            Self::Ours { token, ends: true, .. } => Some(Secret::new(token.expose().to_vec())),
            Self::Ours { ends: false, .. } => None,
            Self::Lent(_) => Some(Secret::new(lease.as_bytes().to_vec())),
        }
    }

    /// What revokes a certificate that it had signed: the serial number and, where it is ours, itself.
    pub(super) fn handle_of_certificate(&self, serial: &str) -> Secret {
        let token = match self {
            Self::Ours { token, .. } => token.expose(),
            Self::Lent(_) => &[],
        };
        let mut handle = Vec::with_capacity(serial.len() + 1 + token.len());
        handle.extend_from_slice(serial.as_bytes());
        if !token.is_empty() {
            handle.push(b' ');
            handle.extend_from_slice(token);
        }
        Secret::new(handle)
    }

    /// Ends it where it is ours; it ends by itself where that fails.
    pub(super) async fn end(&self, server: &Server<'_>) {
        if let Self::Ours { token, ends: true, .. } = self
            && let Err(reason) = server.end_session(token).await
        {
            tracing::debug!(%reason, "a session of OpenBao lives on until it ends by itself");
        }
    }
}

fn text(secret: &Secret) -> Result<&str, String> {
    std::str::from_utf8(secret.expose()).map_err(|_| "what keygress logs in with is no text".to_owned())
}
