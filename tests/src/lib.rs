//! Test harness and gate of keygress: the proxy in this process, real servers and real clients beside it.

/// What the tests need beyond Rust, found or installed.
pub mod tools;

/// What one test has of its own: a folder, a certificate authority for upstreams, fresh secrets.
pub mod site;

/// The proxy under test.
pub mod proxy;

/// Real servers, one file each, on ephemeral ports.
pub mod servers;

/// Real clients: a program with the environment that a user would give it, and what it printed.
pub mod client;

/// A test in a network namespace of its own.
pub mod alone;

/// The admin page, as no browser would use it.
pub mod page;

/// A child process that ends with its handle, and its lines.
pub mod process;

/// An issuer of JWTs.
pub mod signer;

/// Attacks, by every way in, and the oracle that finds a secret again.
pub mod attack;

/// Fuzz targets, and what is kept of their inputs.
pub mod fuzz;
