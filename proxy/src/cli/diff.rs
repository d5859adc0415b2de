//! `keygress diff`: who gains and who loses what when one policy takes the place of another.

/// Recorded requests, asked of both policies.
mod traffic;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use keygress_policy::change::{Change, Permission};

use super::check::{self, Format};

const MORE: Style = AnsiColor::Yellow.on_default().bold();
const LESS: Style = AnsiColor::Cyan.on_default().bold();
const FAINT: Style = Style::new().dimmed();

/// Arguments of `keygress diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy that is in force: a file or a folder.
    old: PathBuf,
    /// The policy that is to take its place.
    new: PathBuf,
    /// An audit, or several files of one: also ask both policies what they answer to the requests that were made.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    traffic: Vec<PathBuf>,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints what is gained, lost and altered.
///
/// # Errors
/// Where a file cannot be read, one of the policies has errors, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (old, _) = check::load_valid(std::slice::from_ref(&args.old))?;
    let (new, _) = check::load_valid(std::slice::from_ref(&args.new))?;
    let change = new.change_from(&old);
    let replayed = if args.traffic.is_empty() { None } else { Some(traffic::replay(&old, &new, &args.traffic)?) };
    match args.format {
        Format::Text => {
            let told = replayed.as_ref().map_or_else(String::new, |replayed| format!("\n{}", traffic::text(replayed)));
            write!(anstream::stdout(), "{}{told}", text(&change))?;
            let caveats = replayed.iter().flat_map(|replayed| &replayed.caveats);
            caveats.into_iter().try_for_each(|caveat| writeln!(anstream::stderr(), "note: {caveat}"))?;
        }
        Format::Json => {
            let mut document = serde_json::to_value(&change)?;
            if let (Some(replayed), Some(object)) = (&replayed, document.as_object_mut()) {
                object.insert("traffic".to_owned(), serde_json::to_value(replayed)?);
            }
            writeln!(anstream::stdout(), "{document:#}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(change: &Change) -> String {
    if change.is_none() {
        return "nobody gains or loses anything\n".to_owned();
    }
    let mut out = String::new();
    section(&mut out, "gained", MORE, '+', &change.gained);
    section(&mut out, "no longer refused", MORE, '+', &change.readmitted);
    section(&mut out, "lost", LESS, '-', &change.lost);
    section(&mut out, "refused now", LESS, '-', &change.refused);
    if !change.altered.is_empty() {
        out.push_str("altered\n");
        for altered in &change.altered {
            out.push_str(&format!("  ~ {} `{}` {}\n", altered.what, altered.name, altered.how));
        }
    }
    let names = |list: &[Permission]| list.iter().map(|permission| permission.from.clone()).collect::<BTreeSet<_>>().len();
    let (gain, lose) = (names(&change.gained), names(&change.lost));
    out.push_str(&format!("\n{gain} callers gain, {lose} lose\n"));
    out
}

fn section(out: &mut String, title: &str, style: Style, sign: char, list: &[Permission]) {
    if list.is_empty() {
        return;
    }
    out.push_str(&format!("{style}{title}{style:#}\n"));
    for Permission { from, to, request, credential, rule } in list {
        let with = credential.as_ref().map_or_else(String::new, |name| format!(" with `{name}`"));
        out.push_str(&format!("  {style}{sign}{style:#} {from}: {request} at {to}{with}  {FAINT}rule {rule}{FAINT:#}\n"));
    }
}
