use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::anyhow;
use jiff::Timestamp;

use crate::records::{self, Line, Step, when};

/// Most different values that are counted apart; the rest is counted together.
const VALUES_MAX: usize = 100_000;

/// Arguments of `keygress audit query`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The audit, or several files of one audit, oldest first; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Records of this credential.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
    /// Records of this workload.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Records of this task.
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Requests to this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Requests under this rule.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Records of this event, such as `used` or `denied`.
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// Answers with this status.
    #[arg(long, value_name = "STATUS")]
    status: Option<u16>,
    /// From this moment on: `2026-01-31`, `2026-01-31T12:00:00Z`, or how long ago, as in `12h` or `30d`.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Before this moment.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
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
    let now = Timestamp::now();
    let at = |text: &Option<String>| text.as_ref().map(|text| when::moment(text, now)).transpose().map_err(|why| anyhow!(why));
    let (since, until) = (at(&args.since)?, at(&args.until)?);
    let within = |time: i64| since.is_none_or(|since| time >= since) && until.is_none_or(|until| time < until);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut out = BufWriter::new(io::stdout().lock());
    let reading = records::read_files(&args.files, &args.wanted(), |raw, line| {
        if !within(line.time) || !args.asks_for(line) {
            return Ok(Step::On);
        }
        let Some(field) = args.by else {
            out.write_all(raw)?;
            out.write_all(b"\n")?;
            return Ok(Step::On);
        };
        let mut value = field.of(line);
        if counts.len() >= VALUES_MAX && !counts.contains_key(&value) {
            value = "(others)".to_owned();
        }
        *counts.entry(value).or_default() += 1;
        Ok(Step::On)
    })?;
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by(|(one, more), (other, less)| less.cmp(more).then(one.cmp(other)));
    sorted.iter().try_for_each(|(value, count)| writeln!(out, "{count:>10}  {value}"))?;
    out.flush()?;
    reading.caveats().iter().try_for_each(|caveat| writeln!(anstream::stderr(), "note: {caveat}"))?;
    Ok(())
}

impl Args {
    /// Bytes that every record holds which is asked for: names need no escapes.
    fn wanted(&self) -> Vec<u8> {
        let named = [("credential", &self.credential), ("rule", &self.rule), ("workload", &self.workload), ("task", &self.task)];
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        let first = named.iter().find_map(|(_, value)| value.as_ref().filter(|value| plain(value)));
        first.map_or_else(Vec::new, |value| format!("\"{value}\"").into_bytes())
    }

    fn asks_for(&self, line: &Line<'_>) -> bool {
        let is = |asked: &Option<String>, text: &str| asked.as_ref().is_none_or(|asked| asked == text);
        let ours = &line.keygress;
        is(&self.credential, ours.credential.as_str())
            && is(&self.workload, ours.workload.as_str())
            && is(&self.task, ours.task.as_str())
            && is(&self.rule, ours.rule.as_str())
            && is(&self.host, line.http_request.url.hostname.as_str())
            && is(&self.event, line.activity.as_str())
            && self.status.is_none_or(|status| status == line.status_code)
    }
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
