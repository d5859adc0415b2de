//! Test harness and gate of keygress: the proxy in this process, real servers and real clients beside it.

/// What the tests need beyond Rust, found or installed.
pub mod tools;
