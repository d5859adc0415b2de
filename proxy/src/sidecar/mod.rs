//! A pod of Kubernetes that asks for it gets keygress beside its containers: plain functions on the objects of the API, without files or
//! sockets. `keygress inject` and the admission webhook are the same function.

/// What is added, as the operator wants it.
pub mod plan;

/// Where pods stand in the objects of the API.
mod objects;

/// One pod.
mod pod;

/// The containers that are added.
mod containers;

/// What its containers get.
mod environment;

/// The difference of two objects, as a JSON Patch.
mod patch;

/// Manifests in YAML, read and written.
pub mod manifest;

pub use objects::{Outcome, add};
pub use patch::patch;
pub use plan::Plan;

/// The label by which a pod asks.
pub const LABEL: &str = "keygress.dev/inject";

/// The name of the sidecar: a pod that has it is left as it is.
pub const SIDECAR: &str = "keygress";

#[cfg(test)]
mod tests;
