//! What the command did through the proxy, from the audit of its run.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use crate::credentials::Ended;

/// How many different denials the summary names.
const DENIALS_SHOWN: usize = 5;

/// How many different denials are told apart; further ones are counted only.
const DENIALS_MAX: usize = 64;

/// How much of a denied request is shown, in characters.
const REQUEST_LENGTH: usize = 100;

/// Counts over audit records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    allowed: u64,
    denied: u64,
    /// Credential → requests that it went out with.
    credentials: BTreeMap<String, u64>,
    alerts: u64,
    /// Request and code → how often it was denied.
    denials: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one record. A line that is no record counts for nothing.
    pub(super) fn count(&mut self, line: &str) {
        let Ok(record) = serde_json::from_str::<serde_json::Value>(line) else { return };
        let field = |pointer: &str| record.pointer(pointer).and_then(serde_json::Value::as_str);
        match field("/activity") {
            Some("used") => {
                self.allowed += 1;
                if let Some(credential) = field("/keygress/credential") {
                    *self.credentials.entry(credential.to_owned()).or_default() += 1;
                }
            }
            Some("denied") => {
                self.denied += 1;
                self.deny(denial(&record));
            }
            Some("alert") => self.alerts += 1,
            _ => {}
        }
    }

    fn deny(&mut self, denial: String) {
        if self.denials.len() < DENIALS_MAX || self.denials.contains_key(&denial) {
            *self.denials.entry(denial).or_default() += 1;
        }
    }

    /// Counts the records of a file from this byte on.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(super) fn of_file(path: &Path, from: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut tally = Self::default();
        for line in BufReader::new(file).lines() {
            tally.count(&line?);
        }
        Ok(tally)
    }

    /// The summary for people: one fact a line.
    pub(super) fn describe(&self, ended: Ended, duration: Duration) -> String {
        let mut text = format!("  requests     {} allowed, {} denied\n", self.allowed, self.denied);
        let mut denials: Vec<_> = self.denials.iter().collect();
        denials.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        for (denial, times) in denials.into_iter().take(DENIALS_SHOWN) {
            let _ = writeln!(text, "    denied     {denial} ({times})");
        }
        if self.alerts > 0 {
            let _ = writeln!(text, "  alerts       {}", self.alerts);
        }
        let used: Vec<_> = self.credentials.iter().map(|(name, times)| format!("{name} ({times})")).collect();
        let used = if used.is_empty() { "none used".to_owned() } else { used.join(", ") };
        let _ = writeln!(text, "  credentials  {used}");
        let Ended { revoked, dropped, failed } = ended;
        let _ = writeln!(text, "  leases       {revoked} revoked, {dropped} dropped, {failed} failed to revoke");
        let _ = write!(text, "  duration     {:.1} s", duration.as_secs_f64());
        text
    }
}

/// A denied request in one line. What the command wrote cannot steer the terminal: it is escaped and cut.
fn denial(record: &serde_json::Value) -> String {
    let text = |pointer: &str| record.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    let method = text("/http_request/http_method");
    let path = if method == "CONNECT" { "" } else { text("/http_request/url/path") };
    let request = format!("{method} {}{path}", text("/http_request/url/hostname"));
    let request: String = request.escape_debug().take(REQUEST_LENGTH).collect();
    format!("{} {}", request.trim(), text("/keygress/code")).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_credentials_are_counted() {
        let mut tally = Tally::default();
        for line in [
            r#"{"activity":"policy_loaded","keygress":{}}"#,
            r#"{"activity":"issued","keygress":{"credential":"stripe"}}"#,
            r#"{"activity":"used","keygress":{"credential":"stripe"}}"#,
            r#"{"activity":"used","keygress":{"credential":"stripe"}}"#,
            r#"{"activity":"used","keygress":{}}"#,
            r#"{"activity":"denied","http_request":{"http_method":"CONNECT","url":{"hostname":"evil.test"}},"keygress":{"code":"unknown_destination"}}"#,
            "torn",
        ] {
            tally.count(line);
        }
        let ended = Ended { revoked: 1, dropped: 0, failed: 0 };
        insta::assert_snapshot!(tally.describe(ended, Duration::from_millis(3210)), @r"
          requests     3 allowed, 1 denied
            denied     CONNECT evil.test unknown_destination (1)
          credentials  stripe (2)
          leases       1 revoked, 0 dropped, 0 failed to revoke
          duration     3.2 s
        ");
    }
    #[test]
    fn what_the_command_wrote_cannot_steer_the_terminal() {
        let mut tally = Tally::default();
        let path = format!("/\\u001b[2J{}", "a".repeat(1000));
        tally.count(&format!(
            r#"{{"activity":"denied","http_request":{{"http_method":"GET","url":{{"hostname":"x","path":"{path}"}}}},"keygress":{{}}}}"#
        ));
        let denial = tally.denials.keys().next().unwrap();
        assert!(denial.starts_with("GET x/\\u{1b}[2Jaaa") && denial.len() == REQUEST_LENGTH, "{denial}");
    }
}
