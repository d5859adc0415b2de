//! The admission webhook: the API server of a cluster asks about every pod that it creates, and gets a patch.

/// One question, and its answer.
mod review;

/// The listener.
mod server;

pub use review::{Refused, review};
pub use server::Server;
