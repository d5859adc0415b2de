//! Abnormal reuse: detectors over what is on record, in a thread behind the audit. No request waits for one, and a request costs no more
//! than the look of [`crate::known::Known`]. One file each; a new one is its file, its line in `detectors` and its name in the policy's list.

/// What a detector sees and says.
mod finding;

/// What is usual of a credential.
mod baseline;

/// Maps that do not grow without end.
mod bounded;

/// One matter is told once in a while.
mod hush;

/// A placeholder or a task token in the wrong place or hands.
mod misplaced;

/// The value of a credential from an application.
mod real_value;

/// One task token from two callers.
mod token_shared;

/// Use of what was revoked.
mod after_revoke;

/// Something that a credential never did before.
mod first_use;

/// More than a credential ever did before.
mod rate;

/// Bursts of denied requests.
mod probing;

/// The thread, and what it raises.
mod watch;

/// What follows: what the policy says.
mod respond;

/// Alerts, told to an URL.
mod webhook;

/// What is usual, for the next process.
mod keep;

pub use baseline::{Baseline, Baselines, Dimension, Window};
pub use finding::{Detector, Finding, Ground, Seen};
pub use first_use::DIMENSIONS;
pub use keep::Keeper;
pub use respond::respond;
pub use watch::{Raised, SETTLE, Watch};
pub use webhook::Webhook;

/// The list of detectors, in the order in which they are asked.
fn detectors() -> Vec<Box<dyn Detector>> {
    vec![
        Box::new(misplaced::Misplaced),
        Box::new(real_value::RealValue),
        Box::new(token_shared::TokenShared::new()),
        Box::new(after_revoke::AfterRevoke::new()),
        Box::new(first_use::FirstUse::default()),
        Box::new(rate::Rate),
        Box::new(probing::Probing::new()),
    ]
}

#[cfg(test)]
mod tests;
