//! `keygress import`: logins that are there already, into a policy and out of the applications' reach. What it reads it leaves as it is.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use keygress_policy::material::Secret;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::credentials::sealed;
use crate::logins::draft::{Place, draft};
use crate::logins::{Found, tools, variables};

/// The largest file of a tool, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What stands for the place where a tool keeps its file.
const USUAL: &str = "~";

/// How long a key that was imported may stay in use, in days.
const STATIC_DAYS: i64 = 90;

/// Arguments of `keygress import`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("from").args(["environment", "env_file", "gh", "aws", "gcloud", "docker"]).multiple(true).required(true)))]
pub struct Args {
    /// Take the variables of this environment that a preset knows.
    #[arg(long)]
    environment: bool,
    /// Take the variables of a `.env` file that a preset knows; may be repeated.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Take the logins of `gh`. Default: `~/.config/gh/hosts.yml`.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = USUAL)]
    gh: Option<PathBuf>,
    /// Take the keys of a profile of AWS. Default: `~/.aws/credentials`.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = USUAL)]
    aws: Option<PathBuf>,
    /// The profile of AWS.
    #[arg(long, value_name = "NAME", default_value = "default", requires = "aws")]
    profile: String,
    /// The region of AWS for which the policy lets sign.
    #[arg(long, value_name = "REGION", default_value = "us-east-1", requires = "aws")]
    region: String,
    /// Take what gcloud keeps for programs. Default: `~/.config/gcloud/application_default_credentials.json`.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = USUAL)]
    gcloud: Option<PathBuf>,
    /// Take the logins at registries of docker. Default: `~/.docker/config.json`.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = USUAL)]
    docker: Option<PathBuf>,
    /// Write the policy into this folder, as `policy.yaml`, and the secrets into its folder `secrets`. Nothing there is overwritten. Without it
    /// the policy is printed, and nothing is copied.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// Seal the secrets into the policy in place of files: the public part of a key of `keygress seal --new-key`.
    #[arg(long, value_name = "KEY", requires = "key_file")]
    seal_to: Option<String>,
    /// The file of that key, as the proxy finds it.
    #[arg(long, value_name = "FILE", requires = "seal_to")]
    key_file: Option<PathBuf>,
    /// Who answers for the credentials.
    #[arg(long, value_name = "NAME")]
    owner: String,
}

/// Reads the logins, and writes or prints a policy.
///
/// # Errors
/// Where a file cannot be read or is of another form, or something would be overwritten.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = found(args)?;
    let mut err = anstream::stderr();
    for why in &found.passed_over {
        writeln!(err, "passed over: {why}")?;
    }
    if found.logins.is_empty() {
        bail!("there is no login that can be imported");
    }
    let expires = Offset::UTC.to_datetime(Timestamp::now()).date().checked_add(STATIC_DAYS.days()).context("no date")?.to_string();
    let sealing = args.seal_to.as_deref().zip(args.key_file.as_deref());
    let folder = args.into.as_deref().map(std::path::absolute).transpose()?;
    let mut secrets = Secrets { folder: folder.as_deref(), sealing, begun: Vec::new() };
    let written = secrets.prepare().and_then(|()| {
        let policy = draft(&found.logins, &args.owner, &expires, &mut secrets).map_err(|why| anyhow!(why))?;
        match &folder {
            Some(folder) => new_file(&folder.join("policy.yaml"), &policy, 0o644),
            None => Ok(anstream::stdout().write_all(policy.as_bytes())?),
        }
    });
    if written.is_err() {
        secrets.undo();
    }
    written?;
    let copied = if folder.is_some() { "copied" } else { "found (`--into FOLDER` copies it)" };
    for login in &found.logins {
        writeln!(err, "{copied}: {} as `{}`. It is still there: when the policy works, {}", login.from, login.name, login.remedy)?;
    }
    if let Some(folder) = &folder {
        let policy = folder.join("policy.yaml");
        let policy = policy.display();
        writeln!(
            err,
            "next: read {policy}, then `keygress test {policy}` and `keygress run --policy {policy} --label kind=imported -- COMMAND`"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn found(args: &Args) -> anyhow::Result<Found> {
    let mut found = Found::default();
    if args.environment {
        let own =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, Zeroizing::new(value.into_string().ok()?))));
        found.take(variables::logins(own, "in the environment"));
    }
    for file in &args.env_file {
        let text = read(file)?;
        found.take(variables::logins(variables::of_file(&text), &format!("in `{}`", file.display())));
    }
    type Reader<'a> = &'a dyn Fn(&str, &str) -> Result<Found, String>;
    let aws = |text: &str, file: &str| tools::aws(text, file, &args.profile, &args.region);
    let all: [(&Option<PathBuf>, &str, Reader<'_>); 4] = [
        (&args.gh, ".config/gh/hosts.yml", &tools::gh),
        (&args.aws, ".aws/credentials", &aws),
        (&args.gcloud, ".config/gcloud/application_default_credentials.json", &tools::gcloud),
        (&args.docker, ".docker/config.json", &tools::docker),
    ];
    for (asked, usual, read_it) in all {
        let Some(file) = asked else { continue };
        let file = if file == Path::new(USUAL) { home()?.join(usual) } else { file.clone() };
        found.take(read_it(&read(&file)?, &file.display().to_string()).map_err(|why| anyhow!(why))?);
    }
    Ok(found)
}

fn home() -> anyhow::Result<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()).context("HOME names no folder: name the file")
}

fn read(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let about = || format!("cannot read `{}`", file.display());
    if fs::metadata(file).with_context(about)?.len() > FILE_BYTES_MAX {
        bail!("`{}` is larger than 1 MiB", file.display());
    }
    Ok(Zeroizing::new(fs::read_to_string(file).with_context(about)?))
}

/// Where the secrets go: files in a folder that only we may open, or sealed into the policy; or nowhere, where nothing is to be written.
struct Secrets<'s> {
    folder: Option<&'s Path>,
    sealing: Option<(&'s str, &'s Path)>,
    begun: Vec<PathBuf>,
}

impl Secrets<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        let policy = folder.join("policy.yaml");
        if policy.exists() {
            bail!("`{}` is there already: nothing is overwritten", policy.display());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        if self.sealing.is_none() {
            let secrets = folder.join("secrets");
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&secrets)
                .with_context(|| format!("cannot make `{}`", secrets.display()))?;
        }
        Ok(())
    }

    /// Takes the files away that were written before something failed.
    fn undo(&self) {
        for path in &self.begun {
            let _ = fs::remove_file(path);
        }
    }
}

impl Place for Secrets<'_> {
    fn source(&mut self, name: &str, keys: &[(&str, &str)], value: &str) -> Result<String, String> {
        let mut members: Map<String, Value> = keys.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        if let Some((to, key_file)) = self.sealing {
            let sealed = match self.folder {
                Some(_) => sealed::seal(&Secret::new(value.as_bytes().to_vec()), to, name)?,
                None => "…".to_owned(),
            };
            members.insert("value".to_owned(), json!(sealed));
            members.insert("key_file".to_owned(), json!(key_file));
            return Ok(json!({ "sealed": members }).to_string());
        }
        members.insert("path".to_owned(), json!(self.file(name, value)?));
        Ok(json!({ "file": members }).to_string())
    }

    fn file(&mut self, name: &str, value: &str) -> Result<String, String> {
        if self.sealing.is_some() {
            return Err(format!("`{name}` is read from a file by its provider and cannot be sealed: import it without `--seal-to`"));
        }
        let Some(folder) = self.folder else { return Ok(format!("FOLDER/secrets/{name}")) };
        let path = folder.join("secrets").join(name);
        new_file(&path, value, 0o600).map_err(|error| format!("{error:#}"))?;
        self.begun.push(path.clone());
        Ok(path.display().to_string())
    }
}

/// Writes a file that is not there yet.
fn new_file(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write `{}`: nothing is overwritten", path.display()))
}
