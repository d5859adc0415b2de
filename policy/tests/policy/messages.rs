//! What people read, word by word.

use crate::provider::{codes, messages};

#[test]
fn every_problem_of_every_file_is_reported_in_file_and_line_order() {
    let first = "version: 1\nworkloads:\n  a: {}\nrules:\n  x: { from: [b], to: https://a.test }\n";
    let text = messages(&[("one.yaml", first), ("two.yaml", "version: 2\nruls: {}\n")]);
    let places: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("--> ")).collect();
    assert_eq!(places, ["one.yaml:3:3", "one.yaml:5:15", "two.yaml:1:10", "two.yaml:2:1"], "{text}");
}

#[test]
fn an_empty_policy_denies_everything_and_is_no_error() {
    assert_eq!(codes("version: 1\n"), [""; 0]);
    assert_eq!(codes(""), ["missing_key"]);
}
