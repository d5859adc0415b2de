use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Logged, Place};

/// One entry of the audit log.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "_document_id", default)]
    id: String,
    #[serde(rename = "@timestamp")]
    timestamp: Option<Value>,
    created_at: Option<Value>,
    action: String,
    hashed_token: Option<String>,
    actor_ip: Option<String>,
    request_method: Option<String>,
    url_path: Option<String>,
}

/// The uses in an audit log of GitHub, exported as an array or streamed as lines: entries that name the token by which they were made.
///
/// # Errors
/// Where it is no such log.
pub fn github(bytes: &[u8]) -> Result<Vec<Logged>, String> {
    let wrong = |error: serde_json::Error| format!("is no audit log of GitHub: {error}");
    let is_array = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let entries: Vec<Entry> = if is_array {
        serde_json::from_slice(bytes).map_err(wrong)?
    } else {
        serde_json::Deserializer::from_slice(bytes).into_iter().collect::<Result<_, _>>().map_err(wrong)?
    };
    entries.into_iter().filter(|entry| entry.hashed_token.is_some()).map(logged).collect()
}

fn logged(entry: Entry) -> Result<Logged, String> {
    let time = entry.timestamp.or(entry.created_at).as_ref().and_then(moment);
    let time = time.ok_or_else(|| format!("is no audit log of GitHub: an entry `{}` without `@timestamp`", entry.action))?;
    let request = entry.request_method.zip(entry.url_path);
    let what = match &request {
        Some((method, path)) => format!("{} {method} {path}", entry.action),
        None => entry.action,
    };
    Ok(Logged { id: entry.id, time, what, key: entry.hashed_token, from: entry.actor_ip, place: Place::GitHub, request })
}

/// Milliseconds since 1970, or a moment in words.
fn moment(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| Some(value.as_str()?.parse::<Timestamp>().ok()?.as_millisecond()))
}
