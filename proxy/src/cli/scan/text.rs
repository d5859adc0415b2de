use anstyle::{AnsiColor, Style};

use crate::cli::check::counted;
use crate::cli::table::{Cell, table};
use crate::inventory::Severity;
use crate::scan::{Row, Scanned};

const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const FAINT: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Most files that are named of those that were not searched.
const INCOMPLETE_SHOWN: usize = 20;

/// The table, what to do, and a sum.
pub(super) fn all(scanned: &Scanned) -> String {
    let mut out = String::new();
    if !scanned.rows.is_empty() {
        let head = ["SEVERITY", "KEY", "SURE", "WHERE", "FINGERPRINT", "AGE", "OWNER", "REPLACED BY"];
        out.push_str(&table(head, &scanned.rows.iter().map(line).collect::<Vec<_>>()));
        out.push('\n');
        let mut told: Vec<&str> = Vec::new();
        for row in &scanned.rows {
            if !told.contains(&row.help.as_str()) {
                told.push(&row.help);
                out.push_str(&format!("{BOLD}{}{BOLD:#}  {}\n", row.key, row.help));
            }
        }
        out.push('\n');
    }
    for left in scanned.incomplete.iter().take(INCOMPLETE_SHOWN) {
        out.push_str(&format!("{WARN}not searched{WARN:#}  {}: {}\n", left.file, left.why));
    }
    if let Some(more) = scanned.incomplete.len().checked_sub(INCOMPLETE_SHOWN).filter(|more| *more > 0) {
        out.push_str(&format!("{WARN}not searched{WARN:#}  and {more} more\n"));
    }
    let count = |severity| scanned.rows.iter().filter(|row| row.severity == severity).count();
    let verdict = if scanned.rows.is_empty() { "no keys".to_owned() } else { counted(scanned.rows.len() as u64 + scanned.more, "key") };
    let style = if scanned.rows.is_empty() { GOOD } else { BAD };
    out.push_str(&format!(
        "{style}{verdict}{style:#}: {} high, {} medium, {} low, {} without a credential in the policy\n",
        count(Severity::High),
        count(Severity::Medium),
        count(Severity::Low),
        scanned.rows.iter().filter(|row| row.replaced_by.is_empty()).count(),
    ));
    let mut sums = vec![format!("{} searched", counted(scanned.files - scanned.binary, "file"))];
    let mut sum = |number: u64, what: &str| {
        if number > 0 {
            sums.push(format!("{} {what}", counted(number, "file")));
        }
    };
    sum(scanned.binary, "skipped as binary");
    sum(scanned.sources, "left out as sources of the policy");
    if scanned.links > 0 {
        sums.push(format!("{} not followed", counted(scanned.links, "symbolic link")));
    }
    out.push_str(&format!("{FAINT}{}{FAINT:#}\n", sums.join(", ")));
    out
}

fn line(row: &Row) -> [Cell; 8] {
    let style = match row.severity {
        Severity::High => BAD,
        Severity::Medium => WARN,
        Severity::Low => FAINT,
    };
    let place = row.line.map_or_else(|| row.file.clone(), |line| format!("{}:{line}", row.file));
    let because = |row: &Row| row.replaced_by.iter().map(|by| format!("{} ({})", by.credential, by.because.as_str())).collect::<Vec<_>>();
    [
        Cell::styled(row.severity.as_str(), style),
        Cell::styled(&row.key, BOLD),
        row.sure.as_str().into(),
        if row.coded { format!("{place} (base64)").into() } else { place.into() },
        row.fingerprint.as_deref().unwrap_or("?").into(),
        row.age_days.map_or_else(|| "?".to_owned(), |days| format!("{days} d")).into(),
        row.owner.as_deref().unwrap_or("?").into(),
        Cell::styled(
            if row.replaced_by.is_empty() { "none".to_owned() } else { because(row).join(", ") },
            if row.replaced_by.is_empty() { WARN } else { GOOD },
        ),
    ]
}
