//! What is measured: the scenarios by name.

/// What a scenario asks of a contender.
mod shape;

/// What a scenario has at hand.
mod bench;

/// S1 to S5, S8: contenders take turns at the same load.
mod turns;

/// S6: memory at rest.
mod rest;

/// S7: from the start to the first request.
mod startup;

/// S9: reloads under load.
mod replaced;

/// S10: policies of every size.
mod sizes;

/// S11: what single steps cost.
mod steps;

/// S12: large bodies.
mod bulk;

/// S13: more than it can carry.
mod overload;

/// S14: many who renew at one issuer.
mod fleet;

/// The list.
mod list;

pub use bench::{Bench, Cores, Progress};
pub use list::{SCENARIOS, Scenario, find};
pub use shape::{Entrance, Shape};
pub(crate) use turns::{mebibytes, seen};
