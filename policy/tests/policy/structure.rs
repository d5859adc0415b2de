//! What people read, word by word, of text that is no policy: broken YAML, keys and values that do not belong.

use insta::assert_snapshot;
use keygress_policy::document::REFERENCE;
use keygress_policy::problem::{Colour, render};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::messages::changed;
use crate::provider::{compile, files, messages};

#[test]
fn broken_yaml() {
    assert_snapshot!(changed("[billing]", "[billing"), @r"
    error: broken YAML: illegal placement of ':' indicator
      --> policy.yaml:14:7
       |
    14 |     to: https://api.stripe.com
       |       ^
       |
       = help: check indentation, quotes and brackets at this place
    ");
}

#[test]
fn a_placeholder_in_a_flow_list() {
    assert_snapshot!(messages(&[("policy.yaml", "version: 1\nrules:\n  x:\n    to: https://a.example\n    allow: [GET /items/{id}]\n")]), @r"
    error: broken YAML: while parsing a flow sequence, expected ',' or ']'
     --> policy.yaml:5:24
      |
    5 |     allow: [GET /items/{id}]
      |                        ^
      |
      = help: inside `[…]` and `{…}`, quote what holds `{`, `}`, `[`, `]` or `,`; or write one entry a line, each after `- `
    ");
}

#[test]
fn unknown_key() {
    assert_snapshot!(changed("    inject: bearer", "    injct: bearer"), @r"
    error: unknown key `injct`
     --> policy.yaml:9:5
      |
    9 |     injct: bearer
      |     ^^^^^
      |
      = help: did you mean `inject`?
    ");
}

#[test]
fn a_key_that_is_nothing_like_one() {
    assert_snapshot!(changed("    from: [billing]", "    priority: 7\n    from: [billing]"), @r"
    error: unknown key `priority`
      --> policy.yaml:13:5
       |
    13 |     priority: 7
       |     ^^^^^^^^
       |
       = help: the keys here are `from`, `to`, `allow`, `except`, `credential`, `via`, `limit`, `attribute`, `route`, `allow_ips`, `unsafe_plaintext`, `raise_to_https`, `encoded_slash`, `unsafe_unscrubbed_body`, `request_trailers`, `forward`
    ");
}

#[test]
fn duplicate_key() {
    assert_snapshot!(changed("    inject: bearer", "    inject: bearer\n    inject: basic"), @r"
    error: the key `inject` is there twice
      --> policy.yaml:10:5
       |
     9 |     inject: bearer
       |     ------ first here
    10 |     inject: basic
       |     ^^^^^^
       |
       = help: keep one of the two
    ");
}

#[test]
fn a_missing_key() {
    assert_snapshot!(changed("    owner: payments@example.com\n", ""), @r"
    error: the key `owner` is missing
     --> policy.yaml:5:3
      |
    5 |   stripe:
      |   ^^^^^^
      |
      = help: add `owner:`; `keygress schema --reference` says what it holds
    ");
}

#[test]
fn a_map_where_text_is_expected() {
    assert_snapshot!(changed("to: https://api.stripe.com", "to: { host: api.stripe.com }"), @r"
    error: found a map of keys and values where text is expected
      --> policy.yaml:14:9
       |
    14 |     to: { host: api.stripe.com }
       |         ^
       |
       = help: write text
    ");
}

#[test]
fn tags_and_merge_keys() {
    let text = "version: 1\nrules:\n  x: &x { to: https://a.example }\n  y:\n    <<: *x\n";
    assert_snapshot!(messages(&[("merge.yaml", text), ("tag.yaml", "version: !!int 1\n")]), @r"
    error: the map merges another one by `<<`
     --> merge.yaml:5:5
      |
    5 |     <<: *x
      |     ^^
      |
      = help: write the keys out: a policy merges nothing

    error: the value has a tag
     --> tag.yaml:1:16
      |
    1 | version: !!int 1
      |                ^
      |
      = help: a policy uses no tags: remove it
    ");
}

#[test]
fn every_problem_of_every_file_is_reported_in_file_and_line_order() {
    let first =
        "version: 1\nworkloads:\n  a: {}\nrules:\n  x: { from: [b], to: https://a.example }\n  y:\n    to: a.example\n    alow: []\n";
    let text = messages(&[("one.yaml", first), ("two.yaml", "version: 2\nruls: {}\n")]);
    let places: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("--> ")).collect();
    assert_eq!(places, ["one.yaml:3:3", "one.yaml:5:15", "one.yaml:7:9", "one.yaml:8:5", "two.yaml:1:10", "two.yaml:2:1"], "{text}");
}

#[test]
fn missing_keys_at_every_depth() {
    let text = "version: 1\nworkloads:\n  a: { kubernetes: { namespace: x } }\n  b:\n    task: {}\nrules:\n  r: {}\n  s:\n    limit: {}\n    to: https://a.example\ntests:\n  - { request: x }\n  - from: a\n";
    assert_snapshot!(messages(&[("policy.yaml", text)]), @r"
    error: the key `service_account` is missing
     --> policy.yaml:3:8
      |
    3 |   a: { kubernetes: { namespace: x } }
      |        ^^^^^^^^^^
      |
      = help: add `service_account:`; `keygress schema --reference` says what it holds

    error: the key `labels` is missing
     --> policy.yaml:5:5
      |
    5 |     task: {}
      |     ^^^^
      |
      = help: add `labels:`; `keygress schema --reference` says what it holds

    error: the key `to` is missing
     --> policy.yaml:7:3
      |
    7 |   r: {}
      |   ^
      |
      = help: add `to:`; `keygress schema --reference` says what it holds

    error: the key `rate` is missing
     --> policy.yaml:9:5
      |
    9 |     limit: {}
      |     ^^^^^
      |
      = help: add `rate:`; `keygress schema --reference` says what it holds

    error: the key `expect` is missing
      --> policy.yaml:12:5
       |
    12 |   - { request: x }
       |     ^
       |
       = help: add `expect:`; `keygress schema --reference` says what it holds

    error: the key `request` is missing
      --> policy.yaml:13:5
       |
    13 |   - from: a
       |     ^
       |
       = help: add `request:`; `keygress schema --reference` says what it holds
    ");
}

#[test]
fn no_mangled_policy_panics_or_goes_unplaced() {
    let pieces = proptest::sample::select(vec![
        "", "\n", "  ", ": ", "- ", "[", "]", "{", "}", "é", "'", "\"", "*a", "&a ", "!x ", "#", "\t", "\u{0}", "|\n", "<<: ",
    ]);
    let places = proptest::collection::vec((any::<Index>(), any::<Index>(), pieces), 1..4);
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }, |(places in places)| {
        let mut text: Vec<char> = REFERENCE.split("```yaml\n").skip(1).max_by_key(|example| example.len()).unwrap().split("```").next().unwrap().chars().collect();
        for (from, length, piece) in places {
            let from = from.index(text.len());
            let to = (from + length.index(8)).min(text.len());
            text.splice(from..to, piece.chars());
        }
        let files = files(&[("policy.yaml", &text.into_iter().collect::<String>())]);
        if let Err(problems) = compile(&files) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| problem.place.is_some()));
            prop_assert!(render(&problems, &files, Colour::Ansi).contains("policy.yaml"));
        }
    });
}
