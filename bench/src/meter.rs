//! CPU time and memory of a process and of all that came of it, as the kernel counts them; and what others took of the machine meanwhile.

/// What a process and its descendants used.
mod usage;

/// What others took.
mod noise;

pub use noise::Noise;
pub use usage::{Usage, tree};
