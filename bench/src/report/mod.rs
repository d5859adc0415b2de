//! What people read of a run: tables for a terminal, a page for a browser.

/// What tables and plots ask of an outcome.
mod figures;

/// Tables for a terminal.
mod terminal;

pub use terminal::{table, terminal};

use crate::results::Report;

/// The page.
#[must_use]
pub fn html(_: &Report) -> String {
    String::new()
}
