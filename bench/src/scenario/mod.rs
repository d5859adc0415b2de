//! What is measured: the scenarios by name.

/// What a scenario asks of a contender.
mod shape;

/// What a scenario has at hand.
mod bench;

/// S1 to S5, S8: contenders take turns at the same load.
mod turns;

/// The list.
mod list;

pub use bench::{Bench, Cores, Progress};
pub use list::{SCENARIOS, Scenario, find};
pub use shape::{Entrance, Shape};
pub(crate) use turns::{mebibytes, seen};
