//! Fuzz targets: a parser or a transformer each, as a plain function of bytes that says what is wrong. The tests run them over what is kept
//! and over seeded mutations of it; `tests/engine/run` runs the same functions under libFuzzer.

use anyhow::Result;

/// Bytes that are changed a little, the same way for the same seed.
pub mod mutate;

/// What is kept of a target's inputs: a line each.
pub mod corpus;

/// Policy documents.
mod document;

/// Hosts and paths.
mod place;

/// What proves a caller, and what the state folder seals.
mod token;

/// The chain of the audit.
mod record;

/// Answers that are searched: cut anywhere, in any coding.
mod answer;

/// The canonical form of Signature Version 4.
mod signing;

/// Heads of requests, at a running proxy.
mod head;

/// One target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Does with the bytes what the product does, and says what must not be.
    pub run: fn(&[u8]) -> Result<()>,
    /// What inputs are made of: spliced in by mutations.
    pub words: &'static [&'static str],
    /// How many mutations the gate runs: a few seconds.
    pub count: u32,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "document", run: document::document, words: document::WORDS, count: 3000 },
    Target { name: "host", run: place::host, words: place::HOST_WORDS, count: 40_000 },
    Target { name: "path", run: place::path, words: place::PATH_WORDS, count: 40_000 },
    Target { name: "token", run: token::token, words: token::WORDS, count: 10_000 },
    Target { name: "sealed", run: token::sealed, words: &[], count: 10_000 },
    Target { name: "record", run: record::record, words: record::WORDS, count: 5000 },
    Target { name: "window", run: answer::window, words: answer::WORDS, count: 5000 },
    Target { name: "coding", run: answer::coding, words: &[], count: 3000 },
    Target { name: "signing", run: signing::signing, words: &[], count: 3000 },
    Target { name: "head", run: head::head, words: head::WORDS, count: 300 },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
