//! The `keygress` binary.

fn main() {}
