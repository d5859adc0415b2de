//! A policy as it is written, with the position of every value.

/// The JSON Schema of a policy whose providers are `S`, as pretty-printed JSON.
#[must_use]
pub fn schema<S: crate::compile::Source>() -> String {
    unimplemented!()
}

/// The reference of every key, as Markdown.
pub const REFERENCE: &str = include_str!("../reference.md");
