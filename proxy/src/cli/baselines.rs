//! `keygress baselines`: what is usual of each credential, and how it is forgotten.

use std::io::Write;
use std::process::ExitCode;

use http::Method;
use serde_json::{Value, json};

use super::check::Format;
use super::control::Socket;
use super::leases::aligned;

/// Arguments of `keygress baselines`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What is to be done.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what is usual of each credential: what differs from it is an alert once it is settled.
    List {
        /// For people or for machines.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        #[command(flatten)]
        socket: Socket,
    },
    /// Forget what is usual, and learn it anew: after a change that is meant to last.
    Reset {
        /// Of this credential alone. Default: of all.
        #[arg(long, value_name = "NAME")]
        credential: Option<String>,
        #[command(flatten)]
        socket: Socket,
    },
}

/// Asks the running keygress.
///
/// # Errors
/// Where none answers, or it cannot do so.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    match &args.what {
        What::List { format, socket } => {
            let answer = socket.tell(Method::GET, "/baselines", None)?;
            match format {
                Format::Json => writeln!(out, "{answer:#}")?,
                Format::Text => write!(out, "{}", listed(&answer))?,
            }
        }
        What::Reset { credential, socket } => {
            let body = credential.as_ref().map_or_else(|| json!({}), |credential| json!({ "credential": credential }));
            let answer = socket.tell(Method::POST, "/baselines/reset", Some(&body))?;
            let count = answer.get("reset").and_then(Value::as_u64).unwrap_or_default();
            writeln!(out, "forgotten: what was usual of {count} {}", if count == 1 { "credential" } else { "credentials" })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A row for each credential.
fn listed(answer: &Value) -> String {
    let all = answer.get("baselines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        return "no credential was used yet\n".to_owned();
    }
    let head = ["CREDENTIAL", "SINCE", "USES", "A MINUTE", "AN HOUR", "WORKLOAD", "PROCESS", "HOST", "METHOD", "PATH CLASS"];
    aligned(std::iter::once(head.map(str::to_owned)).chain(all.iter().map(row)).collect())
}

fn row(baseline: &Value) -> [String; 10] {
    let text = |key: &str| match baseline.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "-".to_owned(),
    };
    let dimension = |at: usize| baseline.get("dimensions").and_then(|all| all.get(at)).map(usual).unwrap_or_default();
    [
        text("credential"),
        text("since"),
        text("uses"),
        text("most_a_minute"),
        text("most_an_hour"),
        dimension(0),
        dimension(1),
        dimension(2),
        dimension(3),
        dimension(4),
    ]
}

/// The first values of a dimension; `*` where anything goes, `?` where it is not settled yet.
fn usual(dimension: &Value) -> String {
    let is = |key: &str| dimension.get(key) == Some(&Value::Bool(true));
    if is("open") {
        return "*".to_owned();
    }
    let values = dimension.get("values").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let shown: Vec<&str> = values.iter().filter_map(Value::as_str).take(2).collect();
    let more = if values.len() > 2 { format!(" +{}", values.len() - 2) } else { String::new() };
    format!("{}{more}{}", shown.join(","), if is("settled") { "" } else { " ?" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_a_row() {
        let dimension = |values: &[&str], settled: bool, open: bool| json!({ "values": values, "settled": settled, "open": open });
        let crm = json!({
            "credential": "crm", "since": "2026-01-01T00:00:00Z", "uses": 1200, "most_a_minute": 30, "most_an_hour": 600,
            "dimensions": [
                dimension(&["shop"], true, false), dimension(&["user shop", "user lab", "user x"], true, false),
                dimension(&["crm.example.com"], true, false), dimension(&["GET"], false, false), dimension(&[], false, true),
            ],
        });
        insta::assert_snapshot!(listed(&json!({ "baselines": [crm] })), @r"
        CREDENTIAL  SINCE                 USES  A MINUTE  AN HOUR  WORKLOAD  PROCESS                HOST             METHOD  PATH CLASS
        crm         2026-01-01T00:00:00Z  1200  30        600      shop      user shop,user lab +1  crm.example.com  GET ?   *
        ");
        assert_eq!(listed(&json!({ "baselines": [] })), "no credential was used yet\n");
    }
}
