use std::path::{Path, PathBuf};
use std::time::Duration;

use keygress_policy::material::{Material, MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::http::Endpoint;
use super::jwt::{self, Algorithm};
use super::oauth2::{BEARER, Client, Form};
use super::wire::SecretText;
use super::{Fetched, Provider, Purpose, Tools, Work, file};

/// The longest life that Google takes.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The life of an assertion that is exchanged at once.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(300);

/// A token of a Google Cloud service account, by its key file: a JWT that keygress signs for one API, or one that is exchanged for an access
/// token or an ID token. Where the platform can federate, use `gcp_workload_identity`: a key file lives until somebody deletes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcpServiceAccount {
    /// The path of the key file in JSON, as Google gives it; read for every token, so that it can be rotated.
    key_file: PathBuf,
    /// What the token is.
    token: Kind,
    /// The token endpoint, where the token is not the JWT itself. Default `https://oauth2.googleapis.com/token`.
    #[serde(default = "token_url")]
    token_url: String,
}

/// What the token is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    /// A JWT that keygress signs for this API and nobody exchanges, such as `https://pubsub.googleapis.com/`.
    SelfSigned(String),
    /// An access token with these scopes.
    Scope(Vec<String>),
    /// An ID token for this audience, as Cloud Run wants it.
    IdTokenAudience(String),
}

fn token_url() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: SecretText,
    private_key_id: Option<String>,
}

impl Provider for GcpServiceAccount {
    fn kind(&self) -> &'static str {
        "gcp_service_account"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let empty = match &self.token {
            Kind::SelfSigned(audience) | Kind::IdTokenAudience(audience) => audience.is_empty(),
            Kind::Scope(scopes) => scopes.is_empty() || scopes.iter().any(|scope| scope.is_empty() || scope.contains(' ')),
        };
        let empty = empty.then(|| {
            let help = "write `scope: [SCOPE, …]`, `self_signed: API` or `id_token_audience: AUDIENCE`".to_owned();
            ("`token` does not say what the token is for".to_owned(), help)
        });
        file::complaint(&self.key_file).into_iter().chain(Endpoint::parse(&self.token_url).err()).chain(empty).collect()
    }

    fn reads(&self) -> Vec<&Path> {
        vec![&self.key_file]
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let key = self.key().await?;
            match &self.token {
                Kind::SelfSigned(audience) => {
                    let claims = [("sub", key.client_email.as_str()), ("aud", audience)];
                    let token = self.sign(key.private_key, key.private_key_id.clone(), &key.client_email, &claims, LIFETIME)?;
                    Ok(Fetched { material: Material::Token(token), lifetime: Some(LIFETIME), handle: None })
                }
                Kind::Scope(scopes) => {
                    let scopes = scopes.join(" ");
                    let form = self.grant(key, ("scope", &scopes))?;
                    Ok(Fetched { handle: None, ..self.client().token(tools, form, BEARER).await?.fetched() })
                }
                Kind::IdTokenAudience(audience) => {
                    let form = self.grant(key, ("target_audience", audience))?;
                    self.client().id_token(tools, form).await
                }
            }
        })
    }
}

impl GcpServiceAccount {
    fn client(&self) -> Client<'_> {
        Client { token_url: &self.token_url, revocation_url: None, id: None, secret: None, auth: None }
    }

    async fn key(&self) -> Result<KeyFile, String> {
        let text = file::read_text(&self.key_file).await?;
        let wrong = || format!("the file `{}` is no key file of a service account", self.key_file.display());
        serde_json::from_slice(text.expose()).map_err(|_| wrong())
    }

    fn grant(&self, key: KeyFile, claim: (&str, &str)) -> Result<Form, String> {
        let KeyFile { client_email, private_key, private_key_id } = key;
        let assertion =
            self.sign(private_key, private_key_id, &client_email, &[("aud", self.token_url.as_str()), claim], ASSERTION_LIFETIME)?;
        let mut form = Form::of_grant("urn:ietf:params:oauth:grant-type:jwt-bearer");
        form.add("assertion", assertion.expose());
        Ok(form)
    }

    fn sign(
        &self,
        SecretText(pem): SecretText,
        id: Option<String>,
        email: &str,
        claims: &[(&str, &str)],
        lifetime: Duration,
    ) -> Result<Secret, String> {
        let mut all = Map::from_iter([("iss".to_owned(), Value::from(email))]);
        all.extend(claims.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
        let token = jwt::sign(&pem, Algorithm::RS256, id, all, lifetime);
        token.ok_or_else(|| format!("the file `{}` holds no private key for RS256", self.key_file.display()))
    }
}
