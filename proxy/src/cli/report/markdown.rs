use std::fmt::Write as _;

use crate::cli::check::counted;
use crate::inventory::report::{Answer, Checked, Evidence, Report, Status};

/// The whole report.
pub(super) fn all(report: &Report, day: &str, caveats: &[String]) -> String {
    let mut out = format!("# Credentials and who may spend them, {day}\n\nMade by keygress {} at {}.\n", report.keygress, report.made);
    evidence(&mut out, &report.evidence);
    for caveat in caveats {
        let _ = writeln!(out, "- Note: {}", plain(caveat));
    }
    out.push_str("\n## Answers\n\nAn answer says what keygress saw. It does not say that a control is met.\n");
    for answered in &report.frameworks {
        let framework = &answered.framework;
        let _ = write!(out, "\n### {} {}\n\n<{}>\n\n", framework.name, framework.version, framework.page);
        out.push_str("| control | asks for | answer | by |\n|---|---|---|---|\n");
        answered.controls.iter().for_each(|answer| control(&mut out, answer));
    }
    out.push_str("\n## Checks\n");
    report.checks.iter().for_each(|checked| check(&mut out, checked));
    out
}

fn evidence(out: &mut String, evidence: &Evidence) {
    out.push_str("\n## Evidence\n\n");
    let (credentials, rules) = (counted(evidence.credentials, "credential"), counted(evidence.rules, "rule"));
    let workloads = counted(evidence.workloads, "workload");
    let _ = writeln!(out, "- Policy: {credentials} ({} static), {rules}, {workloads}.", evidence.static_credentials);
    for file in &evidence.policy {
        let _ = writeln!(out, "  - `{}`, SHA-256 `{}`", plain(&file.file), file.sha256);
    }
    match &evidence.audit {
        Some(audit) => {
            let span = audit.span.as_ref().map_or_else(String::new, |[first, last]| format!(", {first} to {last}"));
            let _ = writeln!(
                out,
                "- Audit: {}{span}; it covers {}.",
                counted(audit.records, "record"),
                counted(audit.days.unsigned_abs(), "day")
            );
        }
        None => out.push_str("- Audit: none was given (`--audit`): what was used, by whom, and what was revoked is unknown.\n"),
    }
    match &evidence.scan {
        Some(scan) if scan.incomplete > 0 => {
            let _ = writeln!(out, "- Scan: {} searched, {} were not.", counted(scan.files, "file"), scan.incomplete);
        }
        Some(scan) => {
            let _ = writeln!(out, "- Scan: {} searched.", counted(scan.files, "file"));
        }
        None => out.push_str("- Scan: none was given (`--scan`): whether keys lie outside the proxy is unknown.\n"),
    }
    let _ = writeln!(out, "- Unused means: not used for {}.", counted(evidence.unused_days, "day"));
}

fn control(out: &mut String, answer: &Answer) {
    let said = match answer.status {
        Status::Findings => format!("**{}**", counted(answer.findings, "finding")),
        Status::Unseen => format!("not seen: {}", answer.unseen),
        Status::Clear | Status::Partly | Status::Unknown => word(answer.status).to_owned(),
    };
    let checks: Vec<String> = answer.checks.iter().map(|id| format!("`{id}`")).collect();
    let _ = writeln!(out, "| {} | {} | {said} | {} |", answer.id, answer.title, checks.join(", "));
}

fn check(out: &mut String, checked: &Checked) {
    let check = &checked.check;
    let said =
        if checked.findings.is_empty() { word(checked.status).to_owned() } else { counted(checked.findings.len() as u64, "finding") };
    let _ = write!(out, "\n### `{}`: {said}\n\nLooks for {}.\n\n", check.id, check.title);
    let _ = writeln!(out, "- Where clear, it shows {}.", check.proves);
    let _ = writeln!(out, "- It does not show {}.", check.does_not_prove);
    let _ = writeln!(out, "- Controls: {}.", check.controls.join(", "));
    if !checked.findings.is_empty() {
        out.push('\n');
    }
    for finding in &checked.findings {
        let place = match (&finding.file, finding.line) {
            (Some(file), Some(line)) => format!(" ({}:{line})", plain(file)),
            (Some(file), None) => format!(" ({})", plain(file)),
            (None, _) => String::new(),
        };
        let _ = writeln!(out, "- **{}** {}{place}: {}", finding.severity.as_str(), plain(&finding.message), plain(&finding.help));
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Findings => "findings",
        Status::Clear => "clear",
        Status::Partly => "partly: some evidence was not given",
        Status::Unknown => "unknown: its evidence was not given",
        Status::Unseen => "not seen",
    }
}

/// Text from outside, so that it stays text.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '|' | '[' | ']' | '*' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_text() {
        assert_eq!(plain("a|b <script>\n[x](y) *z* `w`"), "a\\|b &lt;script> \\[x\\](y) \\*z\\* `w`");
    }
}
