//! The invariants of `ARCHITECTURE.md` that no compiler holds, one test each. Every rule of `rules.rs` is also shown to fail on a made-up text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

/// The rules, as functions from a source to what is wrong with it.
mod rules;

/// Files, and the views taken of them.
mod source;

use std::process::Command;

use source::Source;

/// Applies a rule to every file with these extensions.
fn hold(extensions: &[&str], rule: impl Fn(&Source) -> Vec<String>) {
    let files = source::files(extensions);
    assert!(!files.is_empty(), "no file to look at");
    let wrong: Vec<_> = files.iter().flat_map(rule).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

const CODE: &[&str] = &["rs", "py", "js", "mjs", "go", "sh"];

#[test]
fn no_file_is_longer_than_400_lines() {
    hold(CODE, rules::length);
}

#[test]
fn no_module_is_named_after_nothing() {
    hold(CODE, rules::names);
}

#[test]
fn a_stage_never_imports_another_stage() {
    hold(&["rs"], rules::stages);
}

#[test]
fn secrets_are_exposed_only_where_they_are_rendered_minted_and_scrubbed() {
    hold(&["rs"], rules::exposure);
}

#[test]
fn exchange_is_the_only_caller_of_forward_send() {
    hold(&["rs"], rules::sending);
}

#[test]
fn policy_touches_nothing_outside() {
    hold(&["rs"], rules::purity);
}

#[test]
fn policy_depends_on_nothing_that_does_io() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "keygress-policy", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(source::root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("keygress-policy"));
    assert_eq!(rules::dependencies(&tree), Vec::<String>::new());
}

#[test]
fn every_module_has_its_line_in_the_table_of_contents() {
    hold(&["rs"], rules::contents);
}

#[test]
fn every_open_end_names_its_issue() {
    hold(CODE, rules::open_ends);
}

#[test]
fn no_test_is_switched_off() {
    hold(&["rs"], rules::switched_off);
}

#[test]
fn versions_are_set_in_the_root_manifest_alone() {
    hold(&["toml"], rules::manifests);
}
