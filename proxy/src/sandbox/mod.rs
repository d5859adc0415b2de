//! What this process gives up, so that whoever breaks into it, or looks at it from beside, finds little: nothing here is on the path of a request.

use std::fmt;

/// Where secrets are kept: memory that is neither swapped, dumped nor, where the kernel can, readable from outside.
pub mod memory;

/// What is trusted, and who could change it.
pub mod trust;

/// No dumps, no core files, no privileges.
mod process;

/// Landlock: the folders that are left.
mod folders;

/// seccomp: the system calls that are left.
mod calls;

pub(crate) use calls::second_numbering;
pub use folders::Declared;
pub(crate) use folders::places;
pub use process::undumpable;
pub(crate) use process::{no_capabilities, no_new_privileges};

/// How much of the sandbox must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// What this kernel can enforce; what it cannot is told.
    #[default]
    Auto,
    /// All of it, or the process does not start.
    Require,
    /// None of it.
    UnsafeOff,
}

/// How far a measure holds here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As meant.
    Enforced,
    /// In part: the detail says what is missing.
    Partly,
    /// Not at all.
    Missing,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::Partly => "partly",
            Self::Missing => "missing",
        }
    }
}

/// One measure, and how far it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its name, in one word or two.
    pub name: &'static str,
    /// How far it holds.
    pub state: State,
    /// What it is, or why it does not hold.
    pub detail: String,
}

impl Measure {
    fn enforced(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: State::Enforced, detail: detail.into() }
    }

    fn partly(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: State::Partly, detail: detail.into() }
    }

    fn missing(name: &'static str, why: impl fmt::Display) -> Self {
        Self { name, state: State::Missing, detail: why.to_string() }
    }
}

/// Enters the sandbox, for good: this thread, and every thread and process that it starts from now on. Called before there is a second
/// thread.
///
/// # Errors
/// With [`Mode::Require`] where something cannot be enforced.
pub fn enter(mode: Mode, declared: &Declared) -> Result<Vec<Measure>, String> {
    if mode == Mode::UnsafeOff {
        return Ok(Vec::new());
    }
    let measures = vec![
        process::undumpable(),
        process::no_core(),
        memory::measure(),
        process::no_capabilities(),
        process::no_new_privileges(),
        folders::restrict(declared),
        calls::restrict(),
    ];
    match measures.iter().find(|measure| measure.state != State::Enforced) {
        Some(Measure { name, detail, .. }) if mode == Mode::Require => Err(format!("the sandbox is required, and {name} is not: {detail}")),
        _ => Ok(measures),
    }
}
