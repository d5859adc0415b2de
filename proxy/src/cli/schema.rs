//! `keygress schema`: the JSON Schema of a policy, for editors.

use std::io::Write;
use std::process::ExitCode;

use keygress_policy::document;

use crate::credentials::Source;

/// Arguments of `keygress schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the reference of every key, as Markdown, instead of the schema.
    #[arg(long)]
    reference: bool,
}

/// Prints the schema.
///
/// # Errors
/// Where the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = if args.reference { document::REFERENCE.to_owned() } else { document::schema::<Source>() };
    writeln!(anstream::stdout(), "{}", text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
