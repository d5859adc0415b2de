//! The audit, read back: line by line, in bounded memory, whatever kinds of event it holds.

/// One line: the fields that questions are asked about.
pub mod line;

/// A file from its beginning to its end.
pub mod reader;

/// Records as OCSF has them.
pub mod ocsf;

/// Moments and spans of time, as people write them.
pub mod when;

pub use line::Line;
pub use reader::{Reading, Step, read, read_files};
