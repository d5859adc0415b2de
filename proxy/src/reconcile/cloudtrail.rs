use jiff::Timestamp;
use serde::Deserialize;

use super::{Logged, Place};

/// A file of CloudTrail, as it lies in its bucket, unpacked.
#[derive(Deserialize)]
struct Trail {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "eventID")]
    event_id: String,
    event_time: String,
    event_source: String,
    event_name: String,
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: Option<String>,
    user_identity: Option<Identity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    access_key_id: Option<String>,
    invoked_by: Option<String>,
}

/// The uses in a file of CloudTrail. What a service of AWS did in somebody's name is none.
///
/// # Errors
/// Where it is no such file.
pub fn cloudtrail(bytes: &[u8]) -> Result<Vec<Logged>, String> {
    let trail: Trail = serde_json::from_slice(bytes).map_err(|error| format!("is no CloudTrail file: {error}"))?;
    let by_service = |record: &Record| record.user_identity.as_ref().is_some_and(|identity| identity.invoked_by.is_some());
    trail.records.into_iter().filter(|record| !by_service(record)).map(logged).collect()
}

fn logged(record: Record) -> Result<Logged, String> {
    let time = record.event_time.parse::<Timestamp>().map_err(|error| format!("is no CloudTrail file: an `eventTime`: {error}"))?;
    let service = record.event_source.split('.').next().unwrap_or_default().to_owned();
    Ok(Logged {
        what: format!("{service}:{}", record.event_name),
        id: record.event_id,
        time: time.as_millisecond(),
        key: record.user_identity.and_then(|identity| identity.access_key_id),
        from: record.source_ip_address,
        place: Place::Aws(service),
        request: None,
    })
}
