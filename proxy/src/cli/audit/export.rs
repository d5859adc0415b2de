use std::io::{self, BufWriter, Write};

use serde_json::Value;

use super::filter::{Filter, print_caveats};
use crate::cli::table::csv;
use crate::records::{Line, ocsf, when};

/// Arguments of `keygress audit export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// For spreadsheets, or for what collects security events.
    #[arg(long, value_enum)]
    format: Format,
}

/// How records are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One line for each record, under a head.
    Csv,
    /// OCSF 1.6.0, one JSON object a line: what OCSF has no name for is under `unmapped`.
    Ocsf,
}

/// The columns of CSV: name, and where the value stands in a record.
const COLUMNS: [(&str, &str); 32] = [
    ("time", ""),
    ("record", "/metadata/uid"),
    ("seq", "/seq"),
    ("event", "/activity"),
    ("workload", "/keygress/workload"),
    ("task", "/keygress/task"),
    ("uid", "/actor/process/uid"),
    ("pid", "/actor/process/pid"),
    ("method", "/http_request/http_method"),
    ("scheme", "/http_request/url/scheme"),
    ("host", "/http_request/url/hostname"),
    ("port", "/http_request/url/port"),
    ("path", "/http_request/url/path"),
    ("status", "/status_code"),
    ("rule", "/keygress/rule"),
    ("credential", "/keygress/credential"),
    ("lease", "/keygress/lease"),
    ("fingerprint", "/keygress/fingerprint"),
    ("code", "/keygress/code"),
    ("expires_in", "/keygress/expires_in"),
    ("stripped", "/keygress/stripped"),
    ("masked", "/keygress/masked"),
    ("lost", "/keygress/lost"),
    ("generation", "/keygress/generation"),
    ("request", "/keygress/request"),
    ("way", "/keygress/way"),
    ("peer", "/keygress/peer"),
    ("broker", "/keygress/broker"),
    ("trace", "/keygress/trace"),
    ("trace_id", "/keygress/trace_id"),
    ("message", "/message"),
    ("hash", "/hash"),
];

/// Writes the records that are asked for in another form.
///
/// # Errors
/// Where a moment is none, a file cannot be read, or the output cannot be written.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if args.format == Format::Csv {
        out.write_all(csv(COLUMNS.map(|(name, _)| name)).as_bytes())?;
    }
    let reading = args.filter.read(|raw, line| {
        let record: Value = serde_json::from_slice(raw)?;
        match args.format {
            Format::Csv => out.write_all(row(line, &record).as_bytes()),
            Format::Ocsf => {
                serde_json::to_writer(&mut out, &ocsf::event(line, &record))?;
                out.write_all(b"\n")
            }
        }
    })?;
    out.flush()?;
    print_caveats(&reading)?;
    Ok(())
}

fn row(line: &Line<'_>, record: &Value) -> String {
    let cells = COLUMNS.map(|(_, pointer)| match record.pointer(pointer) {
        _ if pointer.is_empty() => when::precise(line.time),
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    });
    csv(cells.iter().map(String::as_str))
}
