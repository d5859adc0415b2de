//! What keygress decides, as plain functions on values: no files, no sockets, no clock, no randomness.
//!
//! Four verbs: [`Policy::compile`], [`Policy::decide`], [`Policy::explain`] and [`inject::Injection::act`].

/// A policy as it is written, with the position of every value.
pub mod document;

/// One layout for policy files, which loses nothing.
pub mod layout;

/// From a policy as written to a policy as meant, or every problem at once.
pub mod compile;

/// A problem in the operator's file: where it is, what is wrong, what to do.
pub mod problem;

/// Who calls: the attributes that a caller has proven, and the selectors that recognise it.
pub mod workload;

/// Where a request goes: hosts, ports, methods, canonical paths.
pub mod destination;

/// From a question to a decision, borrowed from the policy.
pub mod decide;

/// The same walk with a reason for every rule, and the policy's own tests.
pub mod explain;

/// What a policy answers to requests that were made.
pub mod replay;

/// Who may spend what: the policy as a list, for those who answer for it.
pub mod reach;

/// What the policy's own tests leave untouched.
pub mod coverage;

/// What one policy gives or takes that another does not.
pub mod change;

/// What credentials are made of; [`material::Secret`].
pub mod material;

/// Rates, as shapes; the counters are the proxy's.
pub mod limit;

/// What is looked for in what happens, and what follows.
pub mod response;

/// Who a request is from, as the destination is told.
pub mod attribute;

/// The list of injections: how a credential goes on the wire.
pub mod inject;

/// What keygress knows of vendors' APIs.
pub mod preset;

/// Calls whose answer is a new credential.
mod minting;

/// Names of rules, credentials and workloads.
pub mod name;

pub use compile::{Credential, Policy, Rule, Source};
