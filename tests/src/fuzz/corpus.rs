use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::tools;

/// The file of a target's inputs.
#[must_use]
pub fn file(target: &str) -> PathBuf {
    tools::root().join("tests/corpora").join(target).with_extension("txt")
}

/// The inputs that are kept of a target.
///
/// # Errors
/// Where the file is missing, or a line is not one of [`line()`].
pub fn kept(target: &str) -> Result<Vec<Vec<u8>>> {
    let path = file(target);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.lines().map(|line| read(line).with_context(|| format!("{}: {line}", path.display()))).collect()
}

/// An input as a line: printable ASCII as it is, `\xNN` for the rest and for the backslash.
#[must_use]
pub fn line(bytes: &[u8]) -> String {
    let plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && byte != b'\\';
    bytes.iter().fold(
        String::new(),
        |text, byte| if plain(*byte) { text + &char::from(*byte).to_string() } else { text + &format!("\\x{byte:02x}") },
    )
}

fn read(line: &str) -> Result<Vec<u8>> {
    let mut parts = line.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).context("an escape ends too early")?;
        bytes.push(u8::from_str_radix(digits, 16)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Ok(bytes)
}
