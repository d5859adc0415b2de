use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use crate::cli::check::counted;
use crate::cli::table::{Cell, table};
use crate::inventory::blast::Right;
use crate::inventory::{Finding, Row, Severity, Usage};
use crate::records::when;

const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const FAINT: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Most names in a cell.
const NAMES_MAX: usize = 3;

/// Fewer days than this to the end of a static key are shown in yellow.
const SOON_DAYS: i64 = 14;

/// The table of all credentials, what is wrong, and a sum.
pub(super) fn all(rows: &[Row], findings: &[Finding], usage: Option<&Usage>, now: Timestamp) -> String {
    if rows.is_empty() {
        return "the policy has no credentials\n".to_owned();
    }
    let head = ["CREDENTIAL", "KIND", "OWNER", "PROVIDER", "EXPIRES", "REACHES", "SPENT BY", "LAST USED", "USES", "LEASES"];
    let mut out = table(head, &rows.iter().map(|row| line(row, now)).collect::<Vec<_>>());
    if !findings.is_empty() {
        out.push('\n');
        findings.iter().for_each(|finding| out.push_str(&found(finding)));
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let fixed = rows.iter().filter(|row| row.kind == "static").count();
    out.push_str(&format!(
        "\n{BOLD}{}{BOLD:#}: {fixed} static, {} short-lived; findings: {} high, {} medium, {} low\n",
        counted(rows.len(), "credential"),
        rows.len() - fixed,
        count(Severity::High),
        count(Severity::Medium),
        count(Severity::Low),
    ));
    match usage.and_then(|usage| usage.span.map(|span| (usage.records, span))) {
        Some((records, (first, last))) => {
            out.push_str(&format!(
                "{FAINT}audit: {}, {} to {}{FAINT:#}\n",
                counted(records, "record"),
                when::shown(first),
                when::shown(last)
            ));
        }
        None => out.push_str(&format!("{FAINT}who used what is known with `--audit FILE`{FAINT:#}\n")),
    }
    out
}

fn line(row: &Row, now: Timestamp) -> [Cell; 10] {
    let kind = if row.kind == "static" { WARN } else { GOOD };
    let leases = row.leases_alive.map_or_else(|| "?".to_owned(), |alive| alive.to_string());
    [
        Cell::styled(&row.credential, BOLD),
        Cell::styled(row.kind, kind),
        row.owner.as_str().into(),
        row.provider.into(),
        expires(row),
        few(&row.destinations).into(),
        few(&row.workloads).into(),
        last_used(row, now),
        row.uses.map_or_else(|| "?".to_owned(), |uses| uses.to_string()).into(),
        leases.into(),
    ]
}

fn expires(row: &Row) -> Cell {
    match (&row.expires, row.expires_in_days) {
        (Some(date), Some(days)) if days < 0 => Cell::styled(format!("{date} (past)"), BAD),
        (Some(date), Some(days)) if days <= SOON_DAYS => Cell::styled(format!("{date} ({days} d)"), WARN),
        (Some(date), _) => date.as_str().into(),
        (None, _) => Cell::styled("each", FAINT),
    }
}

fn last_used(row: &Row, now: Timestamp) -> Cell {
    match (&row.last_use, row.uses) {
        (_, None) => "?".into(),
        (None, Some(_)) => Cell::styled("never", WARN),
        (Some(last), Some(_)) => format!("{} by {}", when::ago(last.time, now), last.workload.as_deref().unwrap_or("-")).into(),
    }
}

/// The first names, and how many more there are.
fn few(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    if more > 0 { format!("{} +{more}", shown.join(", ")) } else { shown.join(", ") }
}

fn found(finding: &Finding) -> String {
    let style = match finding.severity {
        Severity::High => BAD,
        Severity::Medium => WARN,
        Severity::Low => FAINT,
    };
    let place = match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!("  {FAINT}{file}:{line}{FAINT:#}"),
        _ => String::new(),
    };
    let severity = finding.severity.as_str();
    format!("{style}{severity:6}{style:#}  {}{place}\n        {FAINT}{}: {}{FAINT:#}\n", finding.message, finding.check, finding.help)
}

/// What one workload may do.
pub(super) fn workload(name: &str, rights: &[Right]) -> String {
    let mut out = format!("{BOLD}{name}{BOLD:#} may\n");
    if rights.is_empty() {
        out.push_str("  nothing\n");
    }
    for right in rights {
        let with =
            right.credential.as_ref().map_or_else(|| "without a credential".to_owned(), |name| format!("spend {WARN}{name}{WARN:#}"));
        out.push_str(&format!("\n  {with} at {BOLD}{}{BOLD:#}{}\n", right.to, under(right)));
        out.push_str(&requests(right));
    }
    let mut spent: Vec<&str> = rights.iter().filter_map(|right| right.credential.as_deref()).collect();
    spent.sort_unstable();
    spent.dedup();
    out.push_str(&format!(
        "\n{} within reach of {name}{}{}\n",
        counted(spent.len(), "credential"),
        if spent.is_empty() { "" } else { ": " },
        spent.join(", ")
    ));
    out
}

fn under(right: &Right) -> String {
    let limit = right.limit.as_ref().map_or_else(String::new, |limit| format!(", at most {limit}"));
    let last = right.last_used.as_ref().map_or_else(String::new, |last| format!(", last on {last}"));
    format!("  {FAINT}rule {}{limit}{last}{FAINT:#}", right.rule)
}

fn requests(right: &Right) -> String {
    let allowed = right.allow.iter().map(|entry| format!("      {GOOD}+{GOOD:#} {entry}\n"));
    let refused = right.except.iter().map(|entry| format!("      {BAD}-{BAD:#} {entry}\n"));
    allowed.chain(refused).collect()
}

/// Everything of one credential, and who may spend it.
pub(super) fn credential(row: &Row, rights: &[Right], findings: &[Finding], now: Timestamp) -> String {
    let mut out = format!("{BOLD}{}{BOLD:#}  {}\n\n", row.credential, row.kind);
    let mut fact = |key: &str, value: String| {
        if !value.is_empty() {
            out.push_str(&format!("  {FAINT}{key:12}{FAINT:#} {value}\n"));
        }
    };
    fact("owner", row.owner.clone());
    fact("labels", row.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "));
    fact("provider", format!("{}, yields {}", row.provider, row.yields));
    fact("injection", row.injection.to_owned());
    fact("reason", row.reason.clone().unwrap_or_default());
    fact(
        "expires",
        match (&row.expires, row.expires_in_days) {
            (Some(date), Some(days)) => format!("{date} ({days} d)"),
            _ => String::new(),
        },
    );
    fact("unchanged", row.unchanged_days.map_or_else(String::new, |days| format!("{days} d")));
    fact("reaches", row.destinations.join(", "));
    fact("first seen", row.first_seen.clone().unwrap_or_default());
    fact(
        "last used",
        match &row.last_use {
            Some(last) => {
                let rule = last.rule.as_deref().map_or_else(String::new, |rule| format!(" under {rule}"));
                format!(
                    "{} ({}) by {} at {}{rule}",
                    when::shown(last.time),
                    when::ago(last.time, now),
                    last.workload.as_deref().unwrap_or("-"),
                    last.host
                )
            }
            None => row.uses.map_or_else(String::new, |_| "never, on this record".to_owned()),
        },
    );
    fact("used by", row.used_by.iter().map(|(who, count)| format!("{who} {count}")).collect::<Vec<_>>().join(", "));
    fact("leases", row.leases_alive.map_or_else(String::new, |alive| format!("{alive} alive")));
    out.push_str("\nmay be spent by\n");
    for right in rights {
        out.push_str(&format!("\n  {BOLD}{}{BOLD:#} at {}{}\n", right.workload, right.to, under(right)));
        out.push_str(&requests(right));
    }
    if rights.is_empty() {
        out.push_str("  nobody\n");
    }
    if !findings.is_empty() {
        out.push('\n');
        findings.iter().for_each(|finding| out.push_str(&found(finding)));
    }
    out
}
