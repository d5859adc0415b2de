//! What comes with a request that changes something: one JSON object, bounded.

use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Answer, json_answer};

/// The longest body, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Reads the body as what the endpoint takes.
///
/// # Errors
/// The answer that says what is wrong with it.
pub(super) async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Answer> {
    let read = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let bytes = read.map_err(|_| refused(&format!("the body did not come whole, or is longer than {BODY_BYTES_MAX} bytes")))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| refused(&format!("the body is not what this endpoint takes: {error}")))
}

/// The answer to what cannot be done as it was asked.
pub(super) fn refused(why: &str) -> Answer {
    json_answer(StatusCode::BAD_REQUEST, &json!({ "error": why }))
}
