use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sidecar::{Outcome, Plan, add, patch};

/// The version of the API that is spoken.
const VERSION: &str = "admission.k8s.io/v1";

/// The longest name of a question, in bytes: it comes back in the answer.
const UID_BYTES_MAX: usize = 256;

/// What the API server shows of a warning, in characters, and how many of them.
const WARNING_LENGTH: usize = 250;
const WARNINGS_MAX: usize = 20;

/// Why a body is no question: it gets no answer but this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// Answers an AdmissionReview: with a patch where the pod asks for keygress, with a denial where it asks and cannot have it.
///
/// # Errors
/// Where the body is no AdmissionReview of this version that asks about an object.
pub fn review(body: &[u8], plan: &Plan) -> Result<Value, Refused> {
    let refused = |why: &str| Refused(format!("{why}; send an AdmissionReview of {VERSION}"));
    let review: Value = serde_json::from_slice(body).map_err(|error| refused(&format!("the body is not JSON ({error})")))?;
    let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str);
    if text("/kind") != Some("AdmissionReview") {
        return Err(refused("the body is no AdmissionReview"));
    }
    if text("/apiVersion") != Some(VERSION) {
        return Err(refused("this is another version of the API"));
    }
    let uid = text("/request/uid").filter(|uid| !uid.is_empty() && uid.len() <= UID_BYTES_MAX);
    let uid = uid.ok_or_else(|| refused("there is no `request` with a `uid`"))?;
    let operation = text("/request/operation").ok_or_else(|| refused("the request names no `operation`"))?;
    let response = match (operation, review.pointer("/request/object")) {
        ("CREATE" | "UPDATE", Some(object @ Value::Object(_))) => answer(uid, object, plan),
        ("CREATE" | "UPDATE", _) => return Err(refused("the request holds no `object`")),
        // Nothing is added to what goes.
        (_, _) => json!({ "uid": uid, "allowed": true }),
    };
    Ok(json!({ "apiVersion": VERSION, "kind": "AdmissionReview", "response": response }))
}

fn answer(uid: &str, object: &Value, plan: &Plan) -> Value {
    let mut changed = object.clone();
    match add(&mut changed, plan) {
        Err(why) => {
            let message = format!("keygress cannot be added: {why}");
            json!({ "uid": uid, "allowed": false, "status": { "code": 422, "reason": "Invalid", "message": message } })
        }
        Ok(Outcome { added: 0, .. }) => json!({ "uid": uid, "allowed": true }),
        Ok(outcome) => {
            let patch = Value::Array(patch(object, &changed)).to_string();
            let cut = |note: String| note.chars().take(WARNING_LENGTH).collect::<String>();
            let warnings: Vec<_> = outcome.notes.into_iter().map(cut).take(WARNINGS_MAX).collect();
            json!({ "uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch), "warnings": warnings })
        }
    }
}
