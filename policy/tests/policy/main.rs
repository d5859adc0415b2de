//! The policy from the outside: what compiles, what is decided, what people read.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, unreachable_pub, reason = "tests")]

mod provider;

mod decisions;

mod explain;

mod governing;

mod laws;

mod lineage;

mod messages;

mod minting;

mod presets;

mod product;

mod reference;

mod rejections;

mod structure;
