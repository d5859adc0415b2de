//! `keygress inject`: Kubernetes manifests, with keygress beside the containers of every pod that asks for it. It touches no cluster.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};

use super::check::load;
use crate::sidecar::manifest::with_sidecars;
use crate::sidecar::plan::placeholder;
use crate::sidecar::{LABEL, Plan};

/// The largest manifest that is read, in bytes.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// Arguments of `keygress inject`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Manifests in YAML or JSON; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A file or folder of the policy, whose placeholders the containers get; may be repeated.
    #[arg(long = "policy", value_name = "PATH")]
    policy: Vec<PathBuf>,
    #[command(flatten)]
    plan: Plan,
}

/// Prints the manifests, one after the other. What asks for nothing is printed as it is.
///
/// # Errors
/// Where a manifest or the policy cannot be read, or a pod asks that cannot have it: then nothing is printed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut plan = args.plan.clone();
    if !args.policy.is_empty() {
        let loaded = load(&args.policy)?;
        loaded.print_problems()?;
        let Ok(policy) = &loaded.policy else { bail!("the policy has errors; `keygress check` shows them") };
        let held = policy.credentials().iter().filter_map(|credential| credential.placeholder.as_ref());
        plan.placeholders = held.map(|held| (held.env.clone(), placeholder(&held.like))).collect();
    }
    let (mut out, mut added, mut had) = (String::new(), 0, 0);
    for file in &args.files {
        let name = file.display();
        let text = read(file).with_context(|| format!("cannot read `{name}`"))?;
        let (changed, outcome) = with_sidecars(&text, &plan).map_err(|why| anyhow!("`{name}`: {why}"))?;
        if !out.is_empty() && !changed.starts_with("---") {
            out.push_str(if out.ends_with('\n') { "---\n" } else { "\n---\n" });
        }
        out.push_str(&changed);
        (added, had) = (added + outcome.added, had + outcome.had);
        for note in outcome.notes {
            writeln!(anstream::stderr(), "note: `{name}`: {note}")?;
        }
    }
    io::stdout().write_all(out.as_bytes())?;
    let pods = |count: usize| if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") };
    match (added, had) {
        (0, 0) => {
            writeln!(anstream::stderr(), "no pod asks for keygress: a pod, or a template of pods, asks by the label `{LABEL}: \"true\"`")?
        }
        (added, 0) => writeln!(anstream::stderr(), "keygress was added to {}", pods(added))?,
        (added, had) => writeln!(anstream::stderr(), "keygress was added to {}; {} had it", pods(added), pods(had))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => io::stdin().take(MANIFEST_BYTES_MAX + 1).read_to_string(&mut text)?,
        false => fs::File::open(file)?.take(MANIFEST_BYTES_MAX + 1).read_to_string(&mut text)?,
    };
    if read as u64 > MANIFEST_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB: split it"));
    }
    Ok(text)
}
