//! `keygress scan`: keys that are not yet behind the proxy.

/// For people.
mod text;

/// For code hosts and editors.
mod lints;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use jiff::Timestamp;

use super::check;
use crate::config;
use crate::credentials::Fingerprints;
use crate::records::{self, Step};
use crate::scan::{self, Asked, Scanned};

/// Where something could not be searched, or the command was asked wrongly.
const INCOMPLETE: u8 = 2;

/// Arguments of `keygress scan`.
///
/// Finds keys by the shapes of the presets (`keygress presets NAME` names them), by the vendor's checksum where there is one, and by the name
/// of the variable where a key has no shape of its own. Looks into text of any kind: environment files, manifests (what Kubernetes Secrets
/// hold in base64 is decoded), CI configuration, code; into what gzip and zstd compress; and into archives, such as the images that
/// `docker save` and OCI tools write, layer by layer, without unpacking them to disk.
///
/// `.gitignore` is not heeded: what it names, such as `.env`, is where keys lie. Binary files are counted and not searched, symbolic links
/// are counted and not followed, and git's packed objects are passed over: import the report of a tool that reads the history. A file that
/// the policy names as the source of a credential is where it should be, and is left out.
///
/// No key is ever printed: rows carry a keyed fingerprint, which is comparable with that of the audit where `--state` is given.
///
/// Exits with 0 where there is nothing, 1 where there is something, 2 where there is nothing but not all could be searched.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Files and folders.
    #[arg(value_name = "PATH", required_unless_present = "import")]
    paths: Vec<PathBuf>,
    /// A report of gitleaks (JSON or SARIF), of trufflehog (JSON lines), or any in SARIF.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    import: Vec<PathBuf>,
    /// The policy whose credentials are to take the place of what is found: files and folders.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    policy: Vec<PathBuf>,
    /// An audit, which says which credentials had which value; with `--state`.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "state")]
    audit: Vec<PathBuf>,
    /// The state folder of `serve`: its key makes fingerprints those of the audit.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// The file whose 32 bytes or more encrypt what the state folder holds. Default: the systemd credential `keygress-state-key`.
    #[arg(long, value_name = "FILE", requires = "state")]
    state_key: Option<PathBuf>,
    /// How much is unpacked of archives and of what is compressed; what follows is not searched, and that is told.
    #[arg(long, value_name = "SIZE", default_value = "16GiB", value_parser = config::size)]
    unpack_max: u64,
    /// For people, for machines, or for code hosts and editors.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0.
    Sarif,
}

/// Searches, and prints what was found.
///
/// # Errors
/// Where the output cannot be written. All else is told, and is exit code 2.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let scanned = match scanned(args) {
        Ok(scanned) => scanned,
        Err(error) => {
            writeln!(anstream::stderr(), "error: {error:#}")?;
            return Ok(ExitCode::from(INCOMPLETE));
        }
    };
    let mut out = anstream::stdout().lock();
    match args.format {
        Format::Text => write!(out, "{}", text::all(&scanned))?,
        Format::Json => writeln!(out, "{:#}", serde_json::to_value(&scanned)?)?,
        Format::Sarif => writeln!(out, "{:#}", lints::document(&scanned))?,
    }
    Ok(match (scanned.rows.is_empty(), scanned.incomplete.is_empty()) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(INCOMPLETE),
        (true, true) => ExitCode::SUCCESS,
    })
}

fn scanned(args: &Args) -> anyhow::Result<Scanned> {
    let policy = if args.policy.is_empty() { None } else { Some(check::load_valid(&args.policy)?.0) };
    let asked = Asked {
        paths: &args.paths,
        imports: &args.import,
        policy: policy.as_ref(),
        values: values(&args.audit)?,
        fingerprints: &fingerprints(args)?,
        archive_bytes_max: args.unpack_max,
        now: Timestamp::now(),
    };
    scan::run(asked).map_err(|why| anyhow!(why))
}

fn fingerprints(args: &Args) -> anyhow::Result<Fingerprints> {
    let Some(folder) = &args.state else { return Ok(Fingerprints::fresh()) };
    if !folder.is_dir() {
        bail!("there is no state folder `{}`: name that of `serve`", folder.display());
    }
    match config::named_state(folder.clone(), args.state_key.clone())? {
        Some(place) => Fingerprints::kept(&place).map_err(|why| anyhow!(why)),
        None => Ok(Fingerprints::fresh()),
    }
}

/// The credentials that had a value, by fingerprint.
fn values(audit: &[PathBuf]) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let reading = records::read_files(audit, b"\"fingerprint\"", |_, line| {
        if let (Some(print), Some(name)) = (line.keygress.fingerprint.given(), line.keygress.credential.given())
            && !values.get(print).is_some_and(|names| names.contains(name))
        {
            values.entry(print.to_owned()).or_default().insert(name.to_owned());
        }
        Ok(Step::On)
    })?;
    reading.caveats().iter().try_for_each(|caveat| writeln!(anstream::stderr(), "note: {caveat}"))?;
    Ok(values)
}
