use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use super::filter::{Filter, print_caveats};
use crate::records::Line;

/// Most different values that are counted apart; the rest is counted together.
const VALUES_MAX: usize = 100_000;

/// Arguments of `keygress audit query`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Count by this field instead of printing the records.
    #[arg(long, value_enum, value_name = "FIELD")]
    by: Option<Field>,
}

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Field {
    Credential,
    Workload,
    Task,
    Host,
    Rule,
    Event,
    Status,
    Code,
}

/// Prints the records that are asked for as they stand in the file, or counts them.
///
/// # Errors
/// Where a moment is none, a file cannot be read, or the output cannot be written.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut out = BufWriter::new(io::stdout().lock());
    let reading = args.filter.read(|raw, line| {
        let Some(field) = args.by else {
            out.write_all(raw)?;
            return out.write_all(b"\n");
        };
        let mut value = field.of(line);
        if counts.len() >= VALUES_MAX && !counts.contains_key(&value) {
            value = "(others)".to_owned();
        }
        *counts.entry(value).or_default() += 1;
        Ok(())
    })?;
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by(|(one, more), (other, less)| less.cmp(more).then(one.cmp(other)));
    sorted.iter().try_for_each(|(value, count)| writeln!(out, "{count:>10}  {value}"))?;
    out.flush()?;
    print_caveats(&reading)?;
    Ok(())
}

impl Field {
    fn of(self, line: &Line<'_>) -> String {
        let ours = &line.keygress;
        let text = match self {
            Self::Credential => ours.credential.as_str(),
            Self::Workload => ours.workload.as_str(),
            Self::Task => ours.task.as_str(),
            Self::Host => line.http_request.url.hostname.as_str(),
            Self::Rule => ours.rule.as_str(),
            Self::Event => line.activity.as_str(),
            Self::Code => ours.code.as_str(),
            Self::Status => return line.status_code.to_string(),
        };
        if text.is_empty() { "-".to_owned() } else { text.to_owned() }
    }
}
