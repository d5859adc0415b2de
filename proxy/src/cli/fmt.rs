//! `keygress fmt`: one layout for policies.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use anyhow::Context;
use keygress_policy::layout::layout;

use super::check::counted;
use crate::reload;

/// Arguments of `keygress fmt`.
///
/// Two spaces a level, one space after a dash, no trailing space, at most one blank line. Nothing else changes: neither the order of keys, nor
/// how a value is written, nor a comment. What was laid out is read again: a file that would not say the same, or would lose a comment, is
/// left as it is, and named.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Files and folders of policies.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Change nothing; name what would change, and exit with 1 where something would.
    #[arg(long)]
    check: bool,
}

/// Lays files out in place.
///
/// # Errors
/// Where a file cannot be read or written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    let (mut changed, mut refused) = (0_u64, 0_u64);
    let files = reload::read(&args.paths)?;
    for file in &files {
        match layout(&file.text) {
            Ok(text) if text == file.text => {}
            Ok(text) => {
                changed += 1;
                let done = if args.check { "would change" } else { "changed" };
                if !args.check {
                    replace(Path::new(&file.name), &text).with_context(|| format!("cannot write `{}`", file.name))?;
                }
                writeln!(out, "{done}  {}", file.name)?;
            }
            Err(why) => {
                refused += 1;
                writeln!(anstream::stderr(), "error: `{}` stays as it is: {why}", file.name)?;
            }
        }
    }
    let verb = if args.check { "would change" } else { "changed" };
    writeln!(out, "{}: {changed} {verb}, {refused} left as they are", counted(files.len(), "file"))?;
    Ok(if refused > 0 || args.check && changed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Replaces a file at once, with the mode that it has: whoever reads it sees the old or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".keygress-fmt-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    let mode = fs::metadata(&path)?.permissions().mode() & 0o7777;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(&path).map(drop).map_err(|error| error.error)
}
