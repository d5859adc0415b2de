//! The proxy under test.
