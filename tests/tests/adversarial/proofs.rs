//! Every promise of SECURITY.md names tests, and every test that it names exists.

use std::path::Path;

use keygress_tests::attack::defences::REMOVALS;
use keygress_tests::tools;

/// Whether `module::test` of a test folder is a function in its file.
fn exists(folder: &Path, name: &str) -> bool {
    let Some((module, function)) = name.rsplit_once("::") else { return false };
    let text = std::fs::read_to_string(folder.join(module.replace("::", "/")).with_extension("rs")).unwrap_or_default();
    text.contains(&format!("#[test]\nfn {function}()"))
}

/// What stands between backticks and begins with this.
fn named<'t>(text: &'t str, prefix: &str) -> Vec<&'t str> {
    text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix(prefix)).collect()
}

#[test]
fn every_promise_names_tests_that_exist() {
    let root = tools::root();
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let (_, rest) = text.split_once("## What is promised\n").unwrap();
    let (promises, _) = rest.split_once("\n## ").unwrap();
    let (list, proofs) = promises.split_once("### The proofs\n").expect("the proofs");
    let count = list.lines().filter(|line| line.split_once(". **").is_some_and(|(number, _)| number.parse::<u32>().is_ok())).count();
    assert!(count > 10, "the promises were not found");
    for number in 1..=count {
        let row = proofs.lines().find(|line| line.starts_with(&format!("| {number} |")));
        let row = row.unwrap_or_else(|| panic!("promise {number} has no row of proofs"));
        is_proven(row, &format!("promise {number}"));
    }
}

/// Fails unless a row names tests, and each of them exists.
fn is_proven(row: &str, what: &str) {
    let mut found = 0;
    for (prefix, folder) in FOLDERS {
        for name in named(row, prefix) {
            assert!(exists(&tools::root().join(folder), name), "{what} names `{prefix}{name}`, which does not exist");
            found += 1;
        }
    }
    assert!(found > 0, "{what} names no test");
}

#[test]
fn every_listener_has_a_tag_that_tests_back() {
    let text = std::fs::read_to_string(tools::root().join("SECURITY.md")).unwrap();
    let (_, rest) = text.split_once("### The listeners\n").expect("the listeners");
    let rows: Vec<Vec<&str>> =
        rest.split("\n\n").nth(1).unwrap().lines().skip(2).map(|row| row.split('|').map(str::trim).collect()).collect();
    let listeners: Vec<&str> = rows.iter().map(|row| row[1].split(" (").next().unwrap()).collect();
    assert_eq!(listeners, LISTENERS, "a listener is missing, or is no listener");
    for row in &rows {
        let [_, listener, tag, because, tests, _] = row[..] else { panic!("not four columns: {row:?}") };
        assert!(TAGS.contains(&tag), "{listener}: `{tag}` is no tag");
        assert!(because.len() > 40, "{listener}: why?");
        is_proven(tests, listener);
    }
}

/// Every listener that there is.
const LISTENERS: [&str; 9] =
    ["forward", "intercepted", "routes", "Unix socket", "captured", "mutual TLS", "admin socket", "admin page", "health and metrics"];

/// What may be said of a listener.
const TAGS: [&str; 4] = [
    "robust to untrusted downstream",
    "robust to untrusted downstream and upstream",
    "requires trusted downstream",
    "requires trusted downstream and upstream",
];

/// Where tests stand, by the word before their names.
const FOLDERS: [(&str, &str); 3] = [("adversarial::", "tests/tests/adversarial"), ("e2e::", "tests/tests/e2e"), ("proxy::", "proxy/tests")];

#[test]
fn a_test_that_does_not_exist_is_found_out() {
    let folder = tools::root().join("tests/tests/adversarial");
    assert!(exists(&folder, "proofs::a_test_that_does_not_exist_is_found_out"));
    assert!(!exists(&folder, "proofs::a_test_that_was_never_written"));
    assert!(!exists(&folder, "nothing::every_promise_names_tests_that_exist"));
}

#[test]
fn every_defence_can_be_taken_away_alone() {
    // `defences` does it; here is that what it looks for has not changed under its hands.
    let root = tools::root();
    let folder = root.join("tests/tests/adversarial");
    let mut names: Vec<&str> = REMOVALS.iter().map(|removal| removal.name).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() == REMOVALS.len() && names.len() >= 10, "{names:?}");
    for removal in REMOVALS {
        let text = std::fs::read_to_string(root.join(removal.file)).unwrap();
        assert_eq!(text.matches(removal.from).count(), 1, "`{}`: what it takes away is not once in {}", removal.name, removal.file);
        assert!(exists(&folder, removal.test), "`{}` names `{}`, which does not exist", removal.name, removal.test);
    }
}
