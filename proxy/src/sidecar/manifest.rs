//! A manifest is a stream of YAML documents. Those that nobody asked to change pass through byte for byte, comments and all.

use std::fmt::Write;

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

use super::objects::{Outcome, add};
use super::plan::Plan;

/// Adds keygress to the pods of a manifest that ask for it.
///
/// # Errors
/// Which document cannot be read or changed, and why.
pub fn with_sidecars(text: &str, plan: &Plan) -> Result<(String, Outcome), String> {
    let (mut out, mut all) = (String::new(), Outcome::default());
    for Document { text, line } in documents(text) {
        let (changed, outcome) = document(text, plan).map_err(|why| format!("the document at line {line}: {why}"))?;
        out.push_str(changed.as_deref().unwrap_or(text));
        all = all.and(outcome);
    }
    Ok((out, all))
}

/// One document with the marker that begins it, and the line where it begins.
struct Document<'t> {
    text: &'t str,
    line: usize,
}

/// A marker at the beginning of a line ends a document wherever it stands, even in a text of several lines.
fn documents(text: &str) -> Vec<Document<'_>> {
    let (mut found, mut start, mut at, mut first) = (Vec::new(), 0, 0, 1);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let begins = line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if begins && at > start {
            found.push(Document { text: text.get(start..at).unwrap_or_default(), line: first });
            (start, first) = (at, number + 1);
        }
        at += line.len();
    }
    found.push(Document { text: text.get(start..).unwrap_or_default(), line: first });
    found
}

fn document(text: &str, plan: &Plan) -> Result<(Option<String>, Outcome), String> {
    // Without the label nobody asks, whatever else the document is.
    if !text.contains(super::LABEL) {
        return Ok((None, Outcome::default()));
    }
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let mut object: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    let outcome = add(&mut object, plan)?;
    if outcome.added == 0 {
        return Ok((None, outcome));
    }
    unambiguous(text)?;
    let marker = if text.starts_with("---") { "---\n" } else { "" };
    let mut out = String::from(marker);
    block(&object, 0, &mut out);
    Ok((Some(out), outcome))
}

/// Whether every word is read alike by the YAML of Kubernetes (1.1) and by ours (1.2): what is written anew must mean what it meant.
fn unambiguous(text: &str) -> Result<(), String> {
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        if let Event::Scalar(value, ScalarStyle::Plain, ..) = &event
            && is_ambiguous(value)
        {
            return Err(format!(
                "`{value}` at its line {} is read in two ways; put it in quotes, or write `true`, `false` or a decimal number",
                span.start.line()
            ));
        }
    }
    Ok(())
}

fn is_ambiguous(word: &str) -> bool {
    let digits = word.trim_start_matches(['+', '-']);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit());
    ["yes", "no", "on", "off", "y", "n"].iter().any(|other| word.eq_ignore_ascii_case(other))
        || is_number && (digits.contains('_') || digits.starts_with("0o") || digits.starts_with("0b") || digits.starts_with("0x"))
        || is_number && digits.contains(':') && digits.bytes().all(|b| b.is_ascii_digit() || b == b':')
}

/// Writes a value as YAML in blocks, every text in quotes that could be taken for something else. `serde_yaml` leaves `yes` and `1_000` bare,
/// which Kubernetes (YAML 1.1) reads as a truth and a number.
fn block(value: &Value, indent: usize, out: &mut String) {
    let line = |out: &mut String| out.push_str(&" ".repeat(indent));
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                line(out);
                text(key, out);
                out.push(':');
                below(value, indent + 2, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                line(out);
                out.push('-');
                match item {
                    Value::Object(entries) if !entries.is_empty() => {
                        let mut inner = String::new();
                        block(item, indent + 2, &mut inner);
                        out.push(' ');
                        out.push_str(inner.trim_start_matches(' '));
                    }
                    _ => below(item, indent + 2, out),
                }
            }
        }
        _ => below(value, indent, out),
    }
}

/// Writes what follows a key or a dash, with the end of the line.
fn below(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            out.push('\n');
            block(value, indent, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            block(value, indent, out);
        }
        Value::String(string) => {
            out.push(' ');
            text(string, out);
            out.push('\n');
        }
        _ => {
            let _ = writeln!(out, " {value}");
        }
    }
}

fn text(text: &str, out: &mut String) {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'-'))
        && !words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match is_plain {
        true => out.push_str(text),
        // A string of JSON is one of YAML, where no character in it breaks lines there.
        false => {
            for c in Value::String(text.to_owned()).to_string().chars() {
                match c {
                    '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                        let _ = write!(out, "\\u{:04x}", u32::from(c));
                    }
                    c => out.push(c),
                }
            }
        }
    }
}
