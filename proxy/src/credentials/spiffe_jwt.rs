use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use keygress_policy::material::{Material, MaterialKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::jwt::end_of;
use super::{Fetched, Provider, Purpose, Tools, Work, file, spiffe};

/// A JWT-SVID of keygress itself, by the SPIFFE Workload API: a token for one audience, or the subject of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpiffeJwt {
    /// The path of the socket of the agent, such as `/run/spire/sockets/agent.sock`.
    socket: PathBuf,
    /// For whom the token is.
    audience: String,
    /// Which of keygress's identities, where it has several. Default: the first.
    id: Option<String>,
}

impl Provider for SpiffeJwt {
    fn kind(&self) -> &'static str {
        "spiffe_jwt"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let empty = self.audience.is_empty().then(|| ("`audience` is empty".to_owned(), "write for whom the token is".to_owned()));
        spiffe::complaints(&self.socket, self.id.as_ref()).into_iter().chain(empty).collect()
    }

    fn reads(&self) -> Vec<&Path> {
        vec![&self.socket]
    }

    fn fetch<'a>(&'a self, _: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async { self.ask().await.map_err(|fault| format!("the SPIFFE Workload API {fault}")) })
    }
}

impl SpiffeJwt {
    async fn ask(&self) -> Result<Fetched, String> {
        let request = spiffe::jwt_svid_request(&self.audience, self.id.as_ref());
        let (_, answer) = spiffe::call(&self.socket, "FetchJWTSVID", &request).await?;
        let token = spiffe::jwt_svid(&answer).filter(|token| file::check(token.expose()).is_ok());
        let token = token.ok_or_else(|| "gave no JWT-SVID".to_owned())?;
        let end = end_of(&token).ok_or_else(|| "gave a JWT-SVID that does not say when it ends".to_owned())?;
        let lifetime = Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
        if lifetime.is_zero() {
            return Err("gave a JWT-SVID that has expired already".to_owned());
        }
        Ok(Fetched { material: Material::Token(token), lifetime: Some(lifetime), handle: None })
    }
}
