//! `keygress seal`: secrets that may stand in a policy, because only the proxy can open them.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, ensure};
use keygress_policy::material::Secret;

use crate::credentials::sealed;

/// The largest secret, in bytes.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Arguments of `keygress seal`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Make a new key: the private part goes into this file, which must not exist; the public part is printed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "credential"], required_unless_present = "to")]
    new_key: Option<PathBuf>,
    /// The public part of the proxy's key. The secret is read from standard input, and the `value` of a `sealed` source is printed.
    #[arg(long, value_name = "KEY", requires = "credential")]
    to: Option<String>,
    /// The name of the credential in the policy: the secret opens for no other.
    #[arg(long, value_name = "NAME", requires = "to")]
    credential: Option<String>,
}

/// Makes a key, or seals a secret.
///
/// # Errors
/// Where the file cannot be made, or the secret cannot be read or sealed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let printed = match (&args.new_key, &args.to, &args.credential) {
        (Some(path), _, _) => sealed::new_key(path).with_context(|| format!("cannot make the key file {}", path.display()))?,
        (None, Some(to), Some(credential)) => {
            sealed::seal(&standard_input()?, to, credential).map_err(|reason| anyhow!("cannot seal: {reason}"))?
        }
        (None, _, _) => return Err(anyhow!("say `--new-key FILE`, or `--to KEY --credential NAME`")),
    };
    writeln!(anstream::stdout(), "{printed}")?;
    Ok(ExitCode::SUCCESS)
}

fn standard_input() -> anyhow::Result<Secret> {
    let input = std::io::stdin();
    ensure!(!input.is_terminal(), "give the secret on standard input, which a terminal would show: `keygress seal … < FILE`");
    // One buffer that never grows, so that no copy of the secret is left behind.
    let mut bytes = Vec::with_capacity(SECRET_BYTES_MAX + 1);
    let read = input.lock().take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    let secret = Secret::new(bytes);
    read.context("standard input")?;
    ensure!(secret.len() <= SECRET_BYTES_MAX, "standard input holds more than {} KiB", SECRET_BYTES_MAX / 1024);
    Ok(secret)
}
