use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use serde_json::json;

use crate::cli::check::Format;
use crate::cli::leases::aligned;
use crate::config::duration;
use crate::reconcile::{Compared, Logged, Made, cloudtrail, github};
use crate::records::{self, Step, when};

/// The largest file of a provider, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Arguments of `keygress audit reconcile`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The audit, or several files of one audit, oldest first; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    logs: Logs,
    /// Only what was done by this key, as the log names it: an access key id of AWS, a `hashed_token` of GitHub; may be repeated. Default:
    /// everything in the logs.
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// Only uses of this credential of the policy count as keygress's.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
    /// How far the moments of both sides may lie apart.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    skew: String,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What the providers logged.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Logs {
    /// A file of AWS CloudTrail, unpacked; may be repeated.
    #[arg(long, value_name = "FILE")]
    cloudtrail: Vec<PathBuf>,
    /// An audit log of GitHub, as JSON or JSON lines; may be repeated.
    #[arg(long, value_name = "FILE")]
    github: Vec<PathBuf>,
}

/// Prints every logged use that keygress did not make; exits with 1 where there is one.
///
/// # Errors
/// Where a file cannot be read or is none of what it should be.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let skew_ms = i64::try_from(duration(&args.skew)?.as_millis()).unwrap_or(i64::MAX);
    let mut logged = args.logs.read()?;
    logged.retain(|one| args.key.is_empty() || one.key.as_ref().is_some_and(|key| args.key.contains(key)));
    let mut made = Made::default();
    let reading = records::read_files(&args.files, b"", |_, line| {
        made.take(line, args.credential.as_deref());
        Ok(Step::On)
    })?;
    let mut caveats = reading.caveats();
    if made.left_out > 0 {
        caveats.push(format!("{} uses on record did not fit: what they made counts as foreign", made.left_out));
    }
    let compared = made.compare(logged, skew_ms);
    match args.format {
        Format::Text => write!(anstream::stdout(), "{}", shown(&compared))?,
        Format::Json => writeln!(anstream::stdout(), "{:#}", json!({ "compared": compared, "caveats": caveats }))?,
    }
    caveats.iter().try_for_each(|caveat| writeln!(anstream::stderr(), "note: {caveat}"))?;
    Ok(if compared.foreign.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Logs {
    fn read(&self) -> anyhow::Result<Vec<Logged>> {
        let mut all = Vec::new();
        for (files, parse) in [(&self.cloudtrail, cloudtrail as fn(&[u8]) -> _), (&self.github, github)] {
            for file in files {
                let parsed: Result<Vec<Logged>, String> = parse(&whole(file)?);
                all.extend(parsed.map_err(|why| anyhow!("`{}` {why}", file.display()))?);
            }
        }
        Ok(all)
    }
}

fn whole(path: &Path) -> anyhow::Result<Vec<u8>> {
    let named = || format!("cannot read `{}`", path.display());
    if fs::metadata(path).with_context(named)?.len() > FILE_BYTES_MAX {
        return Err(anyhow!("`{}` is larger than {} MiB: give it in pieces", path.display(), FILE_BYTES_MAX >> 20));
    }
    fs::read(path).with_context(named)
}

fn shown(compared: &Compared) -> String {
    let Compared { ours, foreign, outside } = compared;
    let mut text = String::new();
    if !foreign.is_empty() {
        let row = |one: &Logged| {
            let known = |text: &Option<String>| printable(text.as_deref().unwrap_or("-"));
            [when::shown(one.time), printable(&one.what), known(&one.key), known(&one.from), printable(&one.id)]
        };
        let head = ["TIME", "WHAT", "KEY", "FROM", "ID"].map(str::to_owned);
        text = aligned(std::iter::once(head).chain(foreign.iter().map(row)).collect());
    }
    let beyond = if *outside > 0 { format!("; {outside} before or after the audit, of which it says nothing") } else { String::new() };
    format!("{text}{} logged uses: {ours} made by keygress, {} not{beyond}\n", ours + foreign.len() + outside, foreign.len())
}

/// Text of a provider's log, which holds what callers sent: nothing of it steers a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::cloudtrail;

    #[test]
    fn what_keygress_did_not_make_is_a_row() {
        let record = "{\"eventID\":\"e-1\\u001b[2J\",\"eventTime\":\"2026-01-31T12:00:00Z\",\"eventSource\":\"s3.amazonaws.com\",\
                      \"eventName\":\"GetObject\",\"userIdentity\":{\"accessKeyId\":\"AKIAIOSFODNN7EXAMPLE\"}}";
        let foreign = cloudtrail(format!("{{\"Records\":[{record}]}}").as_bytes()).unwrap();
        insta::assert_snapshot!(shown(&Compared { ours: 3, foreign, outside: 2 }), @r"
        TIME                  WHAT          KEY                   FROM  ID
        2026-01-31T12:00:00Z  s3:GetObject  AKIAIOSFODNN7EXAMPLE  -     e-1?[2J
        6 logged uses: 3 made by keygress, 1 not; 2 before or after the audit, of which it says nothing
        ");
        assert_eq!(shown(&Compared::default()), "0 logged uses: 0 made by keygress, 0 not\n");
    }
}
