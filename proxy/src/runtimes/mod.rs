//! How the runtimes of applications find keygress and trust it: for `run`, for tasks, and for the containers of a pod.

/// The files that they trust, and the variables that name them.
mod trust;

/// What Java needs in place of PEM files and proxy variables.
pub mod java;

pub use trust::{Files, write_whole};

/// Where clients look for the proxy. Both spellings: curl reads only the lower-case `http_proxy`, gRPC only the lower-case `https_proxy`.
pub const PROXY: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "KEYGRESS_PROXY"];
