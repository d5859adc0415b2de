use std::fs::File;
use std::io::Read;
use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use keygress_policy::preset;
use serde_json::Value;
use zeroize::Zeroizing;

use super::row::Sure;
use super::{Sighting, search};

/// The longest report that is read, in bytes.
const REPORT_BYTES_MAX: u64 = 256 << 20;

/// What a tool writes where it keeps the key to itself.
const WITHHELD: [&str; 3] = ["REDACTED", "***", "..."];

/// The keys that a report of gitleaks (JSON, SARIF) or trufflehog (JSON lines) names, or any report in SARIF.
///
/// # Errors
/// Where it cannot be read, or is none of these.
pub(super) fn report(path: &Path) -> Result<Vec<Sighting>, String> {
    let unreadable = |error: std::io::Error| format!("cannot read the report `{}`: {error}", path.display());
    let mut text = Zeroizing::new(Vec::new());
    File::open(path).and_then(|file| file.take(REPORT_BYTES_MAX).read_to_end(&mut text)).map_err(unreadable)?;
    if text.len() as u64 == REPORT_BYTES_MAX {
        return Err(format!("the report `{}` is longer than 256 MiB", path.display()));
    }
    // A position in the text, and nothing of the text: keys stand in it.
    let none = |error: serde_json::Error| {
        format!("`{}` is no report of gitleaks, trufflehog or in SARIF: line {}, column {}", path.display(), error.line(), error.column())
    };
    let values: Vec<Value> = serde_json::Deserializer::from_slice(&text).into_iter().collect::<Result<_, _>>().map_err(none)?;
    let mut found = Vec::new();
    for value in &values {
        entry(value, &mut found).map_err(|()| format!("`{}` is no report of gitleaks, trufflehog or in SARIF", path.display()))?;
    }
    Ok(found)
}

fn entry(value: &Value, found: &mut Vec<Sighting>) -> Result<(), ()> {
    match value {
        Value::Array(entries) => entries.iter().try_for_each(|value| entry(value, found)),
        Value::Object(object) if object.contains_key("runs") => {
            sarif(value, found);
            Ok(())
        }
        Value::Object(object) if object.contains_key("SourceMetadata") => {
            found.push(trufflehog(value));
            Ok(())
        }
        Value::Object(object) if object.contains_key("RuleID") => {
            found.push(gitleaks(value));
            Ok(())
        }
        // trufflehog writes lines of its log between its findings.
        Value::Object(object) if object.contains_key("level") && object.contains_key("msg") => Ok(()),
        // gitleaks writes `null` where it found nothing.
        Value::Null => Ok(()),
        _ => Err(()),
    }
}

fn gitleaks(value: &Value) -> Sighting {
    let told = Told {
        rule: text(value, "/RuleID"),
        secret: text(value, "/Secret"),
        file: text(value, "/File"),
        line: number(value, "/StartLine"),
        column: number(value, "/StartColumn"),
        author: text(value, "/Email"),
        date: text(value, "/Date"),
    };
    told.sighting("gitleaks", Sure::Told)
}

fn trufflehog(value: &Value) -> Sighting {
    let data =
        value.pointer("/SourceMetadata/Data").and_then(Value::as_object).and_then(|data| data.values().next()).unwrap_or(&Value::Null);
    let file = ["/file", "/path", "/key", "/link"].iter().map(|key| text(data, key)).find(|text| !text.is_empty()).unwrap_or_default();
    let author = text(data, "/email");
    let author = author.rsplit_once('<').map_or(author, |(_, mail)| mail.trim_end_matches('>'));
    let told = Told {
        rule: text(value, "/DetectorName"),
        secret: text(value, "/Raw"),
        file,
        line: number(data, "/line"),
        column: None,
        author,
        date: text(data, "/timestamp"),
    };
    // It asked the vendor.
    told.sighting("trufflehog", if value.get("Verified") == Some(&Value::Bool(true)) { Sure::Proven } else { Sure::Told })
}

fn sarif(value: &Value, found: &mut Vec<Sighting>) {
    for run in value.get("runs").and_then(Value::as_array).into_iter().flatten() {
        let tool = text(run, "/tool/driver/name").to_ascii_lowercase();
        let by = if tool == "gitleaks" { "gitleaks" } else { "sarif" };
        for result in run.get("results").and_then(Value::as_array).into_iter().flatten() {
            let place = result.pointer("/locations/0/physicalLocation").unwrap_or(&Value::Null);
            let snippet = text(place, "/region/snippet/text");
            // gitleaks gives the key as the snippet; elsewhere it is a line, of which only what has a shape is taken for a key.
            let secret = if by == "gitleaks" {
                snippet
            } else {
                search::find(snippet.as_bytes()).first().and_then(|hit| snippet.get(hit.at.clone())).unwrap_or_default()
            };
            let told = Told {
                rule: text(result, "/ruleId"),
                secret,
                file: text(place, "/artifactLocation/uri"),
                line: number(place, "/region/startLine"),
                column: number(place, "/region/startColumn"),
                author: text(result, "/partialFingerprints/email"),
                date: text(result, "/partialFingerprints/date"),
            };
            found.push(told.sighting(by, Sure::Told));
        }
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

/// What another tool says of a key.
struct Told<'r> {
    rule: &'r str,
    secret: &'r str,
    file: &'r str,
    line: Option<u64>,
    column: Option<u64>,
    author: &'r str,
    date: &'r str,
}

impl Told<'_> {
    fn sighting(&self, by: &'static str, sure: Sure) -> Sighting {
        let is_withheld = WITHHELD.iter().any(|mark| self.secret.contains(mark));
        let secret = if is_withheld { &[] } else { self.secret.trim().as_bytes() };
        let hit = search::find(secret).into_iter().next();
        let rule = if self.rule.is_empty() { "unnamed" } else { self.rule };
        Sighting {
            shape: hit.as_ref().map(|hit| hit.shape),
            kind: hit.as_ref().map_or_else(|| rule.to_owned(), |hit| hit.shape.id.to_owned()),
            value: Zeroizing::new(hit.as_ref().and_then(|hit| secret.get(hit.at.clone())).unwrap_or(secret).to_vec()),
            sure: hit.map_or(sure, |hit| hit.sure.min(sure)),
            file: self.file.trim_start_matches("file://").to_owned(),
            line: self.line.unwrap_or(0),
            column: self.column.unwrap_or(0),
            coded: false,
            changed: self.date.get(..10).and_then(day),
            author: (!self.author.is_empty()).then(|| self.author.to_owned()),
            by,
        }
    }
}

/// The beginning of a day, in milliseconds.
fn day(text: &str) -> Option<i64> {
    let date: Date = text.parse().ok()?;
    Some(TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_millisecond())
}

/// The presets whose vendor the rule of another tool names, such as `stripe-access-token` and `DatadogToken`.
pub(super) fn presets_of(rule: &str) -> Vec<&'static str> {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let rule = plain(rule);
    let mut named: Vec<&str> = preset::all().iter().map(|preset| preset.name).filter(|name| rule.starts_with(&plain(name))).collect();
    let longest = named.iter().map(|name| name.len()).max().unwrap_or(0);
    named.retain(|name| name.len() == longest || *name == "github_git");
    if named.contains(&"github") && !named.contains(&"github_git") {
        named.push("github_git");
    }
    named
}
