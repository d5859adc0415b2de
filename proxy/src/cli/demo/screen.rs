//! What the demonstration prints: 80 columns, colours where the terminal has them.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use aws_lc_rs::digest;

/// What went well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What was refused.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// A real credential, shortened.
pub(super) const TOKEN: Style = AnsiColor::Green.on_default();
/// A placeholder.
pub(super) const STAND_IN: Style = AnsiColor::Yellow.on_default();
/// What explains.
pub(super) const FAINT: Style = Style::new().dimmed();
const HEADING: Style = AnsiColor::Cyan.on_default().bold();

const COLUMNS: usize = 80;
const INDENT: usize = 4;
const LABEL: usize = 15;
/// How much of a line a fact has for its text.
pub(super) const FACT_COLUMNS: usize = COLUMNS - INDENT - LABEL;

/// Prints a line.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(anstream::stdout(), "{text}")?)
}

/// Prints the heading of a step, ruled to the right edge.
pub(super) fn heading(number: usize, text: &str) -> anyhow::Result<()> {
    let rule = "─".repeat(COLUMNS.saturating_sub(5 + text.chars().count()));
    line(&format!("\n {HEADING}{number}  {text}{HEADING:#} {FAINT}{rule}{FAINT:#}"))
}

/// Prints one fact; the text may hold styles and is printed as it is.
pub(super) fn fact(label: &str, text: &str) -> anyhow::Result<()> {
    line(&format!("{:INDENT$}{FAINT}{label:LABEL$}{FAINT:#}{text}", ""))
}

/// Prints prose, wrapped, in the column of the facts.
pub(super) fn prose(label: &str, text: &str, style: Style) -> anyhow::Result<()> {
    let mut label = label;
    for piece in wrapped(text, FACT_COLUMNS) {
        fact(label, &format!("{style}{piece}{style:#}"))?;
        label = "";
    }
    Ok(())
}

/// A credential as it may be shown: the first digits of its SHA-256.
pub(super) fn short(token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// An authorization as the API received it, with the token shortened.
pub(super) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {TOKEN}‹token {}›{TOKEN:#}", short(token))
}

/// Breaks text at spaces into lines of at most this many characters; a longer word stays whole.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in text.split_whitespace() {
        if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut current));
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    lines.push(current);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrapped("no rule allows this request", 12), ["no rule", "allows this", "request"]);
        assert_eq!(wrapped("https://long.example/path is one word", 8), ["https://long.example/path", "is one", "word"]);
    }

    #[test]
    fn a_token_is_never_shown() {
        assert_eq!(short("secret"), "2bb80d53");
    }
}
