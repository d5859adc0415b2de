//! The client: requests at a pace, every response checked, latencies from the intended send time.

/// What is asked of it.
pub mod plan;

/// What it saw.
pub mod measured;

/// When which request is due.
mod schedule;

/// Waiting until a moment, to the microsecond.
mod alarm;

/// A connection, by any way.
mod link;

/// Whether a response is right.
mod check;

/// One request after the other.
mod lane;

/// Threads, and the moments that they share.
mod crew;

pub use crew::{run, run_between};
pub use measured::Measured;
pub use plan::{Expected, Pace, Path, Plan, Protocol, Reuse, Until, Way};

#[cfg(test)]
mod tests;
