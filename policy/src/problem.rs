//! A problem in the operator's file: where it is, what is wrong, what to do.

/// One file of a policy.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its name as the operator gave it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The policy does not load.
    Error,
    /// It loads; somebody should look.
    Warning,
}

/// A place in a file of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into the files.
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// One problem.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// A stable code, such as `unknown_credential`.
    pub code: &'static str,
    /// What is wrong: lower case, input in backticks, no full stop.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// What to do.
    pub help: Option<String>,
}

/// Whether [`render`] colours its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// ANSI colours.
    Ansi,
    /// Plain text.
    Plain,
}

/// Renders problems for people: message, file, line, column, snippet, help.
#[must_use]
pub fn render(problems: &[Problem], files: &[SourceFile], colour: Colour) -> String {
    unimplemented!("{problems:?} {files:?} {colour:?}")
}

/// Line and column (both from 1, columns in characters) of a byte offset.
#[must_use]
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    unimplemented!("{text} {offset}")
}
