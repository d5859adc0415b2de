//! What people read of a run: tables for a terminal, a page for a browser.

/// What tables and plots ask of an outcome.
mod figures;

/// Tables for a terminal.
mod terminal;

/// The page: one file without a script, readable in light and dark.
mod page;

/// Text as it stands in HTML and SVG.
mod markup;

/// Bars with whiskers: one contender each.
mod bars;

/// Lines over two axes.
mod lines;

pub use page::html;
pub use terminal::{table, terminal};
