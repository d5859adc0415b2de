//! `keygress schema`: the JSON Schema of a policy, for editors.

use std::io::{self, Write};
use std::process::ExitCode;

use flate2::read::GzDecoder;

/// What [`document::schema`](keygress_policy::document::schema) says of a policy with our providers: kept as a file, so that the binary
/// does not carry what makes it.
const SCHEMA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schema.json.gz"));

/// The reference of every key.
const REFERENCE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/reference.md.gz"));

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
    let text = unpacked(if args.reference { REFERENCE } else { SCHEMA })?;
    writeln!(anstream::stdout(), "{}", text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn unpacked(text: &[u8]) -> io::Result<String> {
    io::read_to_string(GzDecoder::new(text))
}

#[cfg(test)]
mod tests {
    use keygress_policy::document;

    use super::*;

    /// With `UPDATE_SCHEMA=1` it writes the file.
    #[test]
    fn the_schema_in_the_file_is_that_of_the_code() {
        let made = document::schema::<crate::credentials::Source>() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.json"), &made).unwrap();
        } else {
            let help = "proxy/schema.json is old: UPDATE_SCHEMA=1 cargo test --workspace --profile ci --lib cli::schema";
            assert!(unpacked(SCHEMA).unwrap() == made, "{help}");
        }
    }

    #[test]
    fn the_reference_is_that_of_the_policy() {
        assert_eq!(unpacked(REFERENCE).unwrap(), document::REFERENCE);
    }
}
