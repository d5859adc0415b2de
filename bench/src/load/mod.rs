//! The client: requests at a pace, every response checked, latencies from the intended send time.

/// What is asked of it.
pub mod plan;

/// What it saw.
pub mod measured;

pub use measured::Measured;
pub use plan::{Expected, Pace, Plan, Protocol, Reuse, Until, Way};

/// Runs a plan to its end on threads of its own. Blocks.
///
/// # Errors
/// Where the plan cannot be carried out at all. What goes wrong with single requests is counted in the result.
pub fn run(plan: &Plan) -> anyhow::Result<Measured> {
    let _ = plan;
    anyhow::bail!("not yet")
}
