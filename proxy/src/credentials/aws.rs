/// The token service.
pub(super) mod sts;

/// The stores.
pub(super) mod json;

/// A signed request.
mod request;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keygress_policy::material::Material;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::wire::SecretText;
use super::{Fetched, file};

/// How long a session lives where the policy does not say: AWS ends none earlier, so the shortest that it gives.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(15 * 60);

/// The longest that AWS gives.
const LIFETIME_MAX: Duration = Duration::from_secs(12 * 3600);

/// The life of a session, such as `1h`: from 15 minutes to 12 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub(super) struct Lifetime(#[schemars(with = "String")] pub(super) Duration);

impl Default for Lifetime {
    fn default() -> Self {
        Self(LIFETIME_DEFAULT)
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
        time.filter(|time| (LIFETIME_DEFAULT..=LIFETIME_MAX).contains(time))
            .map(Lifetime)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is not a time between `15m` and `12h`")))
    }
}

/// AWS keys as programs print them and as the metadata endpoints answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    version: Option<u64>,
    access_key_id: Option<String>,
    secret_access_key: Option<SecretText>,
    #[serde(alias = "Token")]
    session_token: Option<SecretText>,
    expiration: Option<String>,
}

/// Whether the form has a version: the one that programs print has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// What a `credential_process` prints.
    Program,
    /// What a metadata endpoint answers.
    Answer,
}

/// Reads keys out of JSON; `now` is the time of whoever gave it.
///
/// # Errors
/// What is missing; reads on from the name of what gave it.
pub(super) fn read_keys(json: &[u8], form: Form, now: Timestamp) -> Result<Fetched, String> {
    let keys: Keys =
        serde_json::from_slice(json).map_err(|_| "gave something other than one JSON object with the keys of AWS".to_owned())?;
    if form == Form::Program && keys.version != Some(1) {
        return Err("gave no `Version` 1".to_owned());
    }
    let access_key_id = keys.access_key_id.ok_or("gave no `AccessKeyId`")?;
    let SecretText(secret_access_key) = keys.secret_access_key.ok_or("gave no `SecretAccessKey`")?;
    let session_token = keys.session_token.map(|SecretText(token)| token);
    for (name, bytes) in [("AccessKeyId", access_key_id.as_bytes()), ("SecretAccessKey", secret_access_key.expose())]
        .into_iter()
        .chain(session_token.as_ref().map(|token| ("SessionToken", token.expose())))
    {
        file::check(bytes).map_err(|fault| format!("gave a `{name}` that {fault}"))?;
    }
    let expiration: Result<Timestamp, _> = keys.expiration.ok_or("gave no `Expiration`")?.parse();
    let expiration = expiration.map_err(|_| "gave an `Expiration` that is no time of RFC 3339".to_owned())?;
    let lifetime = Duration::try_from(expiration.duration_since(now)).unwrap_or_default();
    if lifetime.is_zero() {
        return Err("gave keys that have expired already".to_owned());
    }
    Ok(Fetched { material: Material::AwsKeys { access_key_id, secret_access_key, session_token }, lifetime: Some(lifetime), handle: None })
}

/// The time left until then, zero where it has passed; `None` where it is no time.
pub(super) fn time_until(time: &str) -> Option<Duration> {
    let time: Timestamp = time.parse().ok()?;
    Some(Duration::try_from(time.duration_since(Timestamp::now())).unwrap_or_default())
}
