//! What keygress promises, end to end: real clients, the real proxy, real servers. One module a promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

/// The servers of the harness themselves, without keygress: a test is worth what its upstream is worth.
mod servers;
