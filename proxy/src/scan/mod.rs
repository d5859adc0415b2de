//! Keys that lie about: what keygress would take the place of. Values are held while it works and are in nothing that comes out of it.

/// Keys in a text, by their shapes.
mod search;

/// Values of variables, whatever the language.
mod named;

/// What stands in a text in base64: Kubernetes Secrets, logins of registries.
mod coded;

/// One file, whatever it is: text, compressed, an archive.
mod content;

/// Archives: container images and their layers.
mod tar;

/// zstd, read as a stream.
mod zstd;

/// Files below a folder.
mod walk;

/// Reports of gitleaks and trufflehog.
mod import;

/// Who answers for a file: CODEOWNERS.
mod owners;

/// Who wrote a line, and when.
mod blame;

/// Which credential of a policy takes the place of a key.
mod replacement;

/// What is told of a key.
mod row;

/// The scan as a whole.
mod run;

use zeroize::Zeroizing;

pub use row::{Incomplete, Row, Scanned, Sure};
pub use run::{Asked, run};

use keygress_policy::preset::shape::Shape;

/// A key that was found.
struct Sighting {
    /// Its shape; `None` where another tool found it and no shape of ours fits.
    shape: Option<&'static Shape>,
    /// What it is called: the shape, or the rule of the other tool.
    kind: String,
    /// The key itself; empty where the other tool kept it to itself.
    value: Zeroizing<Vec<u8>>,
    /// How sure that is.
    sure: Sure,
    /// The file, with the archives that it lies in before it, joined by `!`.
    file: String,
    /// Line, from 1; 0 where there is none.
    line: u64,
    /// Column, in characters from 1; 0 where there is none.
    column: u64,
    /// Whether it stood there in base64.
    coded: bool,
    /// When that changed last, in milliseconds.
    changed: Option<i64>,
    /// Who wrote it, as another tool says.
    author: Option<String>,
    /// Who found it.
    by: &'static str,
}

#[cfg(test)]
mod tests;
