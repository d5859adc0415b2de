//! What the command did through the proxy, from the audit of its run.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use crate::credentials::Ended;

/// Counts over audit records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    allowed: u64,
    denied: u64,
    /// Credential → requests that it went out with.
    credentials: BTreeMap<String, u64>,
    alerts: u64,
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
            Some("denied") => self.denied += 1,
            Some("alert") => self.alerts += 1,
            _ => {}
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
            r#"{"activity":"denied","keygress":{"code":"no_rule"}}"#,
            "torn",
        ] {
            tally.count(line);
        }
        let ended = Ended { revoked: 1, dropped: 0, failed: 0 };
        insta::assert_snapshot!(tally.describe(ended, Duration::from_millis(3210)), @r"
          requests     3 allowed, 1 denied
          credentials  stripe (2)
          leases       1 revoked, 0 dropped, 0 failed to revoke
          duration     3.2 s
        ");
    }
}
