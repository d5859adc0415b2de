//! SARIF 2.1.0: what code hosts and editors read lints from.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// The JSON schema of the format.
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What of a path stands in a URI as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@').remove(b'+');

/// How much a result matters, in SARIF's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
    Note,
}

/// A kind of result.
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) help: Option<String>,
    pub(super) level: Level,
    pub(super) tags: Vec<String>,
}

/// One result.
pub(super) struct Outcome {
    pub(super) rule: String,
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) place: Option<Place>,
    /// What is the same when the same thing is found again.
    pub(super) identity: String,
    pub(super) properties: Value,
}

/// Where a result is.
pub(super) struct Place {
    pub(super) file: String,
    /// From 1.
    pub(super) line: Option<u64>,
    /// From 1, in characters.
    pub(super) column: Option<u64>,
}

/// What somebody should know of the run. With a warning it did not do all that it was asked.
pub(super) struct Notice {
    pub(super) level: Level,
    pub(super) text: String,
    pub(super) file: Option<String>,
}

/// One run of keygress. Rules without a result may be among the rules: they say what was looked for.
pub(super) fn document(command: &str, rules: &[Rule], outcomes: &[Outcome], notices: &[Notice]) -> Value {
    let results: Vec<Value> = outcomes.iter().map(|outcome| result(rules, outcome)).collect();
    let is_complete = !notices.iter().any(|notice| notice.level == Level::Warning);
    let notices: Vec<Value> = notices.iter().map(notification).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "keygress",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(descriptor).collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": format!("keygress/{command}/") },
            "columnKind": "unicodeCodePoints",
            "invocations": [{ "executionSuccessful": is_complete, "toolExecutionNotifications": notices }],
            "results": results,
        }],
    })
}

fn descriptor(rule: &Rule) -> Value {
    let mut descriptor = json!({
        "id": rule.id,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.text },
        "defaultConfiguration": { "level": rule.level.as_str() },
        "properties": { "tags": rule.tags },
    });
    if let (Some(help), Some(object)) = (&rule.help, descriptor.as_object_mut()) {
        object.insert("help".to_owned(), json!({ "text": help }));
    }
    descriptor
}

fn result(rules: &[Rule], outcome: &Outcome) -> Value {
    let mut result = json!({
        "ruleId": outcome.rule,
        "level": outcome.level.as_str(),
        "message": { "text": outcome.message },
        "partialFingerprints": { "keygress/v1": outcome.identity },
        "locations": outcome.place.iter().map(location).collect::<Vec<_>>(),
        "properties": outcome.properties,
    });
    if let (Some(index), Some(object)) = (rules.iter().position(|rule| rule.id == outcome.rule), result.as_object_mut()) {
        object.insert("ruleIndex".to_owned(), json!(index));
    }
    result
}

fn notification(notice: &Notice) -> Value {
    let place = notice.file.as_ref().map(|file| Place { file: file.clone(), line: None, column: None });
    json!({
        "level": notice.level.as_str(),
        "message": { "text": notice.text },
        "locations": place.iter().map(location).collect::<Vec<_>>(),
    })
}

fn location(place: &Place) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri(&place.file) } });
    if let (Some(line), Some(object)) = (place.line, physical.as_object_mut()) {
        let region = match place.column {
            Some(column) => json!({ "startLine": line, "startColumn": column }),
            None => json!({ "startLine": line }),
        };
        object.insert("region".to_owned(), region);
    }
    json!({ "physicalLocation": physical })
}

/// A path as a URI reference: relative as it is, absolute with its scheme.
fn uri(path: &str) -> String {
    let bare = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::with_capacity(bare.len());
    if bare.starts_with('/') {
        uri.push_str("file://");
    }
    let _ = write!(uri, "{}", utf8_percent_encode(bare, PATH));
    uri
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl From<crate::inventory::Severity> for Level {
    fn from(severity: crate::inventory::Severity) -> Self {
        match severity {
            crate::inventory::Severity::High => Self::Error,
            crate::inventory::Severity::Medium => Self::Warning,
            crate::inventory::Severity::Low => Self::Note,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_reference_whatever_is_in_it() {
        assert_eq!(uri("./a b/c#d.yaml"), "a%20b/c%23d.yaml");
        assert_eq!(uri("/srv/grün!x"), "file:///srv/gr%C3%BCn%21x");
        assert_eq!(uri("c:x?y"), "c%3Ax%3Fy");
    }
}
