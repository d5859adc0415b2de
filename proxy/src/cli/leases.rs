//! `keygress leases`: what was issued and has not ended.

use std::io::Write;
use std::process::ExitCode;

use http::Method;
use serde_json::Value;

use super::check::Format;
use super::control::Socket;

/// Arguments of `keygress leases`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    socket: Socket,
}

/// Prints every lease: of what, for whom, since when and until when. No secret is among it.
///
/// # Errors
/// Where no keygress answers.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let answer = args.socket.tell(Method::GET, "/leases", None)?;
    match args.format {
        Format::Json => writeln!(anstream::stdout(), "{answer:#}")?,
        Format::Text => write!(anstream::stdout(), "{}", table(&answer))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(answer: &Value) -> String {
    let leases = answer.get("leases").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if leases.is_empty() {
        return "no lease is in force\n".to_owned();
    }
    let head = ["CREDENTIAL", "WORKLOAD", "TASK", "RULE", "ISSUED", "EXPIRES", "REVOCABLE", "LEASE"].map(str::to_owned);
    aligned(std::iter::once(head).chain(leases.iter().map(row)).collect())
}

fn row(lease: &Value) -> [String; 8] {
    let text = |key: &str| lease.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    let expires = match lease.get("expires_in").and_then(Value::as_u64) {
        None => "never".to_owned(),
        Some(seconds @ ..120) => format!("in {seconds} s"),
        Some(seconds @ ..7200) => format!("in {} min", seconds / 60),
        Some(seconds) => format!("in {} h", seconds / 3600),
    };
    let revocable = if lease.get("revocable") == Some(&Value::Bool(true)) { "yes" } else { "no" };
    [text("credential"), text("workload"), text("task"), text("rule"), text("issued"), expires, revocable.to_owned(), text("lease")]
}

/// A table whose columns are as wide as their widest cell.
pub(super) fn aligned<const COLUMNS: usize>(rows: Vec<[String; COLUMNS]>) -> String {
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lease_is_a_row() {
        let lease = json!({
            "credential": "crm", "workload": "agent", "task": "0f", "rule": "read", "issued": "2026-01-01T00:00:00Z", "expires_in": 3000,
            "revocable": true, "lease": "ab",
        });
        let fixed = json!({ "credential": "stripe", "issued": "2026-01-01T00:00:00Z", "revocable": false, "lease": "cd" });
        insta::assert_snapshot!(table(&json!({ "leases": [lease, fixed] })), @r"
        CREDENTIAL  WORKLOAD  TASK  RULE  ISSUED                EXPIRES    REVOCABLE  LEASE
        crm         agent     0f    read  2026-01-01T00:00:00Z  in 50 min  yes        ab
        stripe      -         -     -     2026-01-01T00:00:00Z  never      no         cd
        ");
        assert_eq!(table(&json!({ "leases": [] })), "no lease is in force\n");
    }
}
