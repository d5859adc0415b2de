use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use crate::audit::{self, Anchor, Expected, PublicKey, Verified};
use crate::cli::check::{Format, counted};

/// Arguments of `keygress audit verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The audit files of one chain, in any order: the file that is written, and those that were put aside.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Who may have signed: `ed25519:…`, or a file that holds it, such as `audit-key.pub` of the state folder; may be repeated. Without it
    /// the first key in the files is believed.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// A file that holds a checkpoint which the audit must contain, such as `audit-checkpoint-…` of the state folder.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The number of the first record, where older files are kept elsewhere or were deleted.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    from: u64,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let keys = args.keys.iter().map(|key| read_key(key)).collect::<anyhow::Result<_>>()?;
    let anchor = args.checkpoint.as_deref().map(Anchor::read).transpose().map_err(|why| anyhow!(why))?;
    let expected = Expected { keys, anchor, from: args.from };
    let named = || args.files.iter().map(|file| format!("`{}`", file.display())).collect::<Vec<_>>().join(", ");
    let verified = audit::verify_all(&args.files, &expected).with_context(|| format!("cannot read {}", named()))?;
    match args.format {
        Format::Text => writeln!(anstream::stdout(), "{}", findings(&verified, &expected))?,
        Format::Json => writeln!(anstream::stdout(), "{:#}", serde_json::to_value(&verified)?)?,
    }
    Ok(if verified.first_bad.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_key(text: &str) -> anyhow::Result<PublicKey> {
    let text = match Path::new(text) {
        path if path.exists() => std::fs::read_to_string(path).with_context(|| format!("cannot read `{text}`"))?,
        _ => text.to_owned(),
    };
    PublicKey::parse(&text).map_err(|why| anyhow!(why))
}

/// The verdict, who signed, and what none of this can show.
fn findings(verified: &Verified, expected: &Expected) -> String {
    let mut lines = vec![verdict(verified)];
    if verified.first_bad.is_some() {
        return lines.concat();
    }
    match &verified.signed_by {
        Some(key) => {
            let how = if expected.keys.is_empty() { " (compare it with `audit-key.pub`, or give it as `--key`)" } else { "" };
            let checkpoints = counted(verified.checkpoints, "checkpoint");
            lines.push(format!("signed: up to record {}, {checkpoints} by {key}{how}", verified.signed_to));
            let open = verified.last - verified.signed_to;
            if open > 0 {
                let verb = if open == 1 { "is" } else { "are" };
                lines.push(format!("not signed: the last {}, which {verb} chained alone", counted(open, "record")));
            }
        }
        None => lines.push(
            "not signed: whoever can write the files could have written them anew (`serve --state` or `--audit-key` signs)".to_owned(),
        ),
    }
    if expected.anchor.is_none() {
        lines.push("not shown: whether records were cut off behind the last of these; `--checkpoint` shows it".to_owned());
    }
    lines.join("\n")
}

/// One line for people: intact, or the first bad record.
pub(crate) fn verdict(verified: &Verified) -> String {
    let files = if verified.files > 1 { format!(" in {} files", verified.files) } else { String::new() };
    match (&verified.first_bad, &verified.bad_file) {
        (None, _) => format!("intact: {}{files}, one unbroken chain", counted(verified.records, "record")),
        (Some((line, why)), Some(file)) if verified.files > 1 => format!("broken at line {line} of `{}`: {why}", file.display()),
        (Some((line, why)), _) => format!("broken at line {line}: {why}"),
    }
}
