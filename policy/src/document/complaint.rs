use std::ops::Range;

use serde_saphyr::{Error, Location, UserMessageFormatter};

use super::at::byte_range;
use crate::problem::{Complaint, one_of};

/// What the library found, in our words.
pub(super) struct Found {
    /// A stable code.
    pub(super) code: &'static str,
    /// What is wrong, and what to do.
    pub(super) complaint: Complaint,
    /// Where.
    pub(super) bytes: Range<usize>,
}

/// Puts an error of the YAML library into our words.
pub(super) fn found(error: &Error, text: &str) -> Found {
    let error = error.without_snippet();
    let (start, end) = error.location().map(|location| located(location, text)).unwrap_or_default();
    let bytes = start.min(text.len())..end.min(text.len()).max(start.min(text.len()));
    let (code, complaint) = complaint(error, &described_source(text.get(bytes.clone()).unwrap_or_default()));
    Found { code, complaint, bytes }
}

/// The bytes of a location; broken YAML has only a line and a column, both from 1.
fn located(location: Location, text: &str) -> (usize, usize) {
    if location.span().byte_offset().is_some() {
        return byte_range(location);
    }
    let before = |count: u64| usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
    let lines: usize = text.split_inclusive('\n').take(before(location.line())).map(str::len).sum();
    let line = text.get(lines..).unwrap_or_default().lines().next().unwrap_or_default();
    let columns: usize = line.chars().take(before(location.column())).map(char::len_utf8).sum();
    let start = lines.saturating_add(columns);
    (start, start)
}

fn complaint(error: &Error, here: &str) -> (&'static str, Complaint) {
    match error {
        Error::AliasError { error, .. } => complaint(error, here),
        Error::SerdeUnknownField { field, expected, .. } => {
            ("unknown_key", Complaint::new(format!("unknown key `{field}`"), one_of("the keys here are", field, expected)))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => (
            "unknown_word",
            Complaint::new(format!("`{variant}` is not one of the choices here"), one_of("the choices are", variant, expected)),
        ),
        Error::SerdeMissingField { field, .. } => (
            "missing_key",
            Complaint::new(
                format!("the key `{field}` is missing"),
                format!("add `{field}:`; `keygress schema --reference` says what it holds"),
            ),
        ),
        Error::DuplicateMappingKey { key, .. } => (
            "duplicate_key",
            Complaint::new(format!("the key `{}` is there twice", key.as_deref().unwrap_or_default()), "keep one of the two"),
        ),
        Error::SerdeInvalidType { unexpected, expected, .. } | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            wrong_type(&described(unexpected), &described(expected))
        }
        Error::Unexpected { expected, .. } => wrong_type(here, &described(expected)),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } | Error::ExpectedStringKeyForExternallyTaggedEnum { .. } => {
            wrong_type(here, "one word or a map with one key")
        }
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => wrong_type("a map with several keys", "a map with one key"),
        Error::UnexpectedValueForUnitEnumVariant { .. } => wrong_type("a value", "the word alone"),
        Error::NullIntoString { .. } => wrong_type("nothing", "text"),
        Error::InvalidScalar { ty, .. } => wrong_type(here, &described(ty)),
        Error::InvalidBooleanStrict { .. } => wrong_type(here, "`true` or `false`"),
        Error::MergeKeyNotAllowed { .. } => {
            ("merge_key", Complaint::new("the map merges another one by `<<`", "write the keys out: a policy merges nothing"))
        }
        Error::UnknownAnchor { .. } => {
            ("unknown_anchor", Complaint::new("the alias names no anchor", "define it above with `&name`, or write the value out"))
        }
        Error::MultipleDocuments { .. } => {
            ("yaml", Complaint::new("the file holds more than one YAML document", "put each into a file of its own"))
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            "too_complex",
            Complaint::new(
                "the file is nested too deeply, too large, or expands too many aliases",
                "split it into several files; write aliases out",
            ),
        ),
        Error::Message { msg, .. } | Error::SerdeVariantId { msg, .. } => {
            ("wrong_value", Complaint::new(lower_first(msg), "`keygress schema --reference` says what the key holds"))
        }
        other => ("yaml", Complaint::new(format!("broken YAML: {}", plain(other)), syntax_help(other))),
    }
}

fn wrong_type(unexpected: &str, expected: &str) -> (&'static str, Complaint) {
    let example = match expected {
        "a list" => ", as in `[one, two]`",
        "a map of keys and values" => ", as in `{ key: value }`",
        _ => "",
    };
    ("wrong_type", Complaint::new(format!("found {unexpected} where {expected} is expected"), format!("write {expected}{example}")))
}

/// What stands at a place.
fn described_source(text: &str) -> String {
    match text.trim().chars().next() {
        None => "nothing".to_owned(),
        Some('[' | '-') => "a list".to_owned(),
        Some('{') => "a map of keys and values".to_owned(),
        Some(_) if text.len() <= 40 && !text.contains('\n') => format!("`{}`", text.trim()),
        Some(_) => "something else".to_owned(),
    }
}

/// The words of the deserializer for a type, in those of the YAML.
fn described(words: &str) -> String {
    match words {
        "a string" | "string" | "str" | "string scalar" | "scalar" => "text".to_owned(),
        "a boolean" | "bool" | "boolean" => "`true` or `false`".to_owned(),
        "a sequence" | "sequence" | "sequence start" => "a list".to_owned(),
        "a map" | "map" | "mapping" | "mapping start" => "a map of keys and values".to_owned(),
        "unit value" | "unit" | "Option value" | "null" => "nothing".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" | "i64" | "usize" | "an integer" | "integer" => "a whole number".to_owned(),
        _ if words.starts_with("struct ") => "a map of keys and values".to_owned(),
        _ => words
            .strip_prefix("string \"")
            .and_then(|rest| rest.strip_suffix('"'))
            .map_or_else(|| words.to_owned(), |text| format!("`{text}`")),
    }
}

/// The commonest slip has its own help: `[GET /items/{id}]` is a map inside a list.
fn syntax_help(error: &Error) -> &'static str {
    if plain(error).contains("flow") {
        "inside `[…]` and `{…}`, quote what holds `{`, `}`, `[`, `]` or `,`; or write one entry a line, each after `- `"
    } else {
        "check indentation, quotes and brackets at this place"
    }
}

fn plain(error: &Error) -> String {
    let rendered = error.render_with_formatter(&UserMessageFormatter);
    // The place is shown with the file; the library names it once more.
    let sentence = rendered.lines().next().unwrap_or_default();
    lower_first(sentence.rsplit_once(" at line ").map_or(sentence, |(sentence, _)| sentence))
}

fn lower_first(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
