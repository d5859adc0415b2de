/// The server, as one call sees it.
mod api;

/// Ways to log in.
mod login;

/// Client certificates.
mod pki;

use std::path::Path;
use std::time::Duration;

use hyper::Method;
use keygress_policy::material::{Material, MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::http::Endpoint;
use super::wire::{Seconds, Time};
use super::{Fetched, Provider, Purpose, Tools, Work};
use api::{Fields, Server, is_path, path_help};
use login::{Login, Session};
use pki::Pki;

/// A stored secret is read again before it is older than this.
const MAX_AGE_DEFAULT: Duration = Duration::from_secs(3600);

/// A secret of OpenBao (or Vault): one that it stores, or one that it makes for a lease and revokes when its task or keygress ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Openbao {
    /// Where the server is, such as `https://bao.example.com:8200`.
    address: String,
    /// The namespace. Default: the root.
    namespace: Option<String>,
    /// How keygress logs in.
    auth: Login,
    /// What is read.
    secret: Kept,
    /// The field that holds the token or the password. Required, but for a `pki` certificate, which has none.
    field: Option<String>,
    /// The field that holds the user name. Makes it a user and a password instead of a token.
    user_field: Option<String>,
    /// How long a stored secret may be used after it was read; it is read again at 80 % of this. Default `1h`.
    max_age: Option<Time>,
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Kept {
    /// A secret of a key-value engine, version 1. Static.
    KvV1(KvV1),
    /// A secret of a key-value engine, version 2. Static.
    KvV2(KvV2),
    /// A secret that an engine makes when it is read, such as `database/creds/readonly`.
    Dynamic(Dynamic),
    /// A client certificate that the PKI engine signs.
    Pki(Pki),
}

/// A secret of a key-value engine, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KvV1 {
    /// Where the engine is mounted.
    mount: String,
    /// The path of the secret in it.
    path: String,
}

/// A secret of a key-value engine, version 2.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KvV2 {
    /// Where the engine is mounted.
    mount: String,
    /// The path of the secret in it.
    path: String,
    /// Which version of it. Default: the newest.
    version: Option<u32>,
}

/// A secret that is made when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Dynamic {
    /// The whole path, mount and all.
    path: String,
}

/// What a read answers; version 2 of the key-value engine wraps it once more.
#[derive(Deserialize)]
struct Read<D> {
    #[serde(default)]
    lease_id: String,
    lease_duration: Option<Seconds>,
    data: D,
}

#[derive(Deserialize)]
struct Versioned {
    data: Option<Fields>,
}

impl Provider for Openbao {
    fn kind(&self) -> &'static str {
        "openbao"
    }

    fn yields(&self) -> MaterialKind {
        match (&self.secret, &self.user_field) {
            (Kept::Pki(_), _) => MaterialKind::Certificate,
            (_, Some(_)) => MaterialKind::UserPassword,
            (_, None) => MaterialKind::Token,
        }
    }

    fn is_static(&self) -> bool {
        match self.secret {
            Kept::KvV1(_) | Kept::KvV2(_) => true,
            Kept::Dynamic(_) | Kept::Pki(_) => false,
        }
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints: Vec<_> = Endpoint::parse(&self.address).err().into_iter().chain(self.auth.complaints()).collect();
        let paths = match &self.secret {
            Kept::KvV1(KvV1 { mount, path }) | Kept::KvV2(KvV2 { mount, path, .. }) => vec![mount, path],
            Kept::Dynamic(Dynamic { path }) => vec![path],
            Kept::Pki(pki) => {
                complaints.extend(pki.complaints());
                Vec::new()
            }
        };
        complaints.extend(paths.into_iter().filter(|path| !is_path(path)).map(|path| path_help(path)));
        if self.namespace.as_ref().is_some_and(|namespace| !is_path(namespace)) {
            complaints.push(("`namespace` is no path".to_owned(), "write it without a slash at its ends, such as `team-a/ci`".to_owned()));
        }
        if self.field.iter().chain(&self.user_field).any(String::is_empty) {
            complaints.push(("a field has no name".to_owned(), "write the name of the field, such as `password`".to_owned()));
        }
        match (&self.secret, &self.field, &self.user_field) {
            (Kept::Pki(_), None, None) | (Kept::KvV1(_) | Kept::KvV2(_) | Kept::Dynamic(_), Some(_), _) => {}
            (Kept::Pki(_), _, _) => complaints.push(("a certificate of `pki` has no fields".to_owned(), "leave them out".to_owned())),
            (_, None, _) => complaints.push(("the secret has no `field`".to_owned(), "name the field of the token or password".to_owned())),
        }
        match (&self.secret, self.max_age) {
            (Kept::Dynamic(_) | Kept::Pki(_), Some(_)) => complaints
                .push(("`max_age` is for stored secrets: the lease says how long this one lives".to_owned(), "leave it out".to_owned())),
            (_, Some(Time(age))) if age < Duration::from_secs(60) => {
                complaints.push(("`max_age` is below one minute".to_owned(), "write a time such as `15m`".to_owned()));
            }
            _ => {}
        }
        complaints
    }

    fn reads(&self) -> Vec<&Path> {
        self.auth.reads()
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let server = self.server(tools)?;
            let session = self.auth.begin(&server, purpose).await?;
            let fetched = match &self.secret {
                Kept::Pki(pki) => pki.issue(&server, &session, purpose).await,
                Kept::KvV1(_) | Kept::KvV2(_) | Kept::Dynamic(_) => self.read(&server, &session).await,
            };
            // A stored secret needs its session no longer, and what failed leaves none behind.
            if self.is_static() || fetched.is_err() {
                session.end(&server).await;
            }
            fetched
        })
    }

    fn revokes(&self) -> bool {
        !self.is_static()
    }

    fn revoke<'a>(&'a self, tools: &'a Tools, handle: &'a Secret) -> Work<'a, Result<(), String>> {
        Box::pin(async move {
            let server = self.server(tools)?;
            if let Kept::Pki(pki) = &self.secret {
                let lent = if matches!(self.auth, Login::TokenFile(_)) { Some(self.auth.own_token().await?) } else { None };
                return pki.revoke(&server, lent, handle).await;
            }
            match &self.auth {
                // The session was made for this lease alone: with it ends the lease, and what it read.
                Login::AppRole(_) | Login::Kubernetes(_) | Login::Jwt(_) | Login::Certificate(_) => server.end_session(handle).await,
                Login::TokenFile(_) => {
                    let token = self.auth.own_token().await?;
                    let lease = std::str::from_utf8(handle.expose()).unwrap_or_default();
                    // `sync`: answered when it is gone, not when that is queued.
                    let body = json!({ "lease_id": lease, "sync": true }).to_string().into_bytes();
                    server.call(Method::PUT, "sys/leases/revoke", Some(&token), body).await?.done("revoking the lease")
                }
            }
        })
    }
}

impl Openbao {
    fn server<'a>(&'a self, tools: &'a Tools) -> Result<Server<'a>, String> {
        let endpoint = Endpoint::parse(&self.address).map_err(|(message, _)| format!("OpenBao cannot be called: {message}"))?;
        Ok(Server { tools, endpoint, namespace: self.namespace.as_deref() })
    }

    async fn read(&self, server: &Server<'_>, session: &Session) -> Result<Fetched, String> {
        let path = match &self.secret {
            Kept::KvV1(KvV1 { mount, path }) => format!("{mount}/{path}"),
            Kept::KvV2(KvV2 { mount, path, version: None }) => format!("{mount}/data/{path}"),
            Kept::KvV2(KvV2 { mount, path, version: Some(version) }) => format!("{mount}/data/{path}?version={version}"),
            Kept::Dynamic(Dynamic { path }) => path.clone(),
            Kept::Pki(_) => return Err("a certificate is not read".to_owned()),
        };
        let answer = server.call(Method::GET, &path, Some(session.token()), Vec::new()).await?;
        match &self.secret {
            Kept::KvV1(_) => self.stored(answer.read::<Read<Fields>>("reading the secret")?.data),
            Kept::KvV2(_) => {
                let data = answer.read::<Read<Versioned>>("reading the secret")?.data.data;
                self.stored(data.ok_or_else(|| "OpenBao has deleted this version of the secret".to_owned())?)
            }
            Kept::Dynamic(_) | Kept::Pki(_) => self.leased(answer.read::<Read<Fields>>("reading the secret")?, session),
        }
    }

    fn stored(&self, fields: Fields) -> Result<Fetched, String> {
        let lifetime = self.max_age.map_or(MAX_AGE_DEFAULT, |Time(age)| age);
        Ok(Fetched { material: self.material(fields)?, lifetime: Some(lifetime), handle: None })
    }

    fn leased(&self, read: Read<Fields>, session: &Session) -> Result<Fetched, String> {
        let Some(Seconds(seconds)) = read.lease_duration.filter(|Seconds(seconds)| *seconds > 0) else {
            return Err("OpenBao gave a secret without a lease: read it as `kv_v1` or `kv_v2`".to_owned());
        };
        if read.lease_id.is_empty() {
            return Err("OpenBao gave a secret without a lease: read it as `kv_v1` or `kv_v2`".to_owned());
        }
        // What a session read ends with it.
        let lifetime = session.lifetime().map_or(Duration::from_secs(seconds), |session| session.min(Duration::from_secs(seconds)));
        Ok(Fetched { material: self.material(read.data)?, lifetime: Some(lifetime), handle: session.handle(&read.lease_id) })
    }

    fn material(&self, mut fields: Fields) -> Result<Material, String> {
        let secret = fields.take(self.field.as_deref().unwrap_or_default())?;
        let Some(user_field) = &self.user_field else { return Ok(Material::Token(secret)) };
        let user = fields.take(user_field)?;
        let user = std::str::from_utf8(user.expose()).map_err(|_| format!("OpenBao has no text in the field `{user_field}`"))?;
        Ok(Material::UserPassword { user: user.to_owned(), password: secret })
    }
}
