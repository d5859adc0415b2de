use std::time::Duration;

use jiff::Timestamp;
use keygress_policy::material::Material;
use serde::Deserialize;

use super::wire::SecretText;
use super::{Fetched, file};

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
}

/// Reads keys out of JSON.
///
/// # Errors
/// What is missing; reads on from the name of what gave it.
pub(super) fn read_keys(json: &[u8], form: Form) -> Result<Fetched, String> {
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
    let lifetime = time_until(&keys.expiration.ok_or("gave no `Expiration`")?).ok_or("gave an `Expiration` that is no time of RFC 3339")?;
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
