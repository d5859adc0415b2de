//! Every fuzz target over what is kept of its inputs and over seeded mutations of them: the same ones each time, so that what fails here
//! fails again. `fuzz` and `tests/engine/run` go on for longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use keygress_tests::fuzz::{TARGETS, Target, corpus, mutate::Mutator, target};

/// What is wrong with an input: what the target says, or that it panics.
fn wrong(target: &Target, input: &[u8]) -> Option<String> {
    let said = match catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
        Ok(Ok(())) => return None,
        Ok(Err(why)) => format!("{why:#}"),
        Err(_) => "it panics".to_owned(),
    };
    Some(format!("{}: {said}\nkeep it as a line of {}:\n{}", target.name, corpus::file(target.name).display(), corpus::line(input)))
}

fn holds(name: &str) {
    let target = target(name).unwrap();
    let kept = corpus::kept(name).unwrap();
    assert!(!kept.is_empty());
    let mut mutator = Mutator::new(1);
    let mutated = (0..target.count).map(|_| mutator.next(&kept, target.words));
    let first = kept.iter().cloned().chain(mutated).find_map(|input| wrong(target, &input));
    assert!(first.is_none(), "{}", first.unwrap_or_default());
}

macro_rules! targets {
    ($($test:ident = $name:literal;)*) => {
        $(#[test]
        fn $test() {
            holds($name);
        })*

        #[test]
        fn every_target_has_its_test() {
            let mut tested = vec![$($name),*];
            let mut known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            tested.sort_unstable();
            known.sort_unstable();
            assert_eq!(tested, known);
        }
    };
}

targets! {
    a_document_is_a_policy_or_says_what_is_wrong = "document";
    a_host_is_the_same_to_every_reader = "host";
    a_path_is_the_same_to_every_reader = "path";
    a_field_admits_a_task_only_with_its_token = "token";
    what_was_sealed_opens_unchanged_or_not_at_all = "sealed";
    an_audit_that_verifies_is_what_was_written = "record";
    a_body_comes_to_the_same_wherever_it_is_cut = "window";
    a_coding_comes_to_what_other_libraries_make_of_it = "coding";
    a_request_is_signed_as_the_sdk_signs_it = "signing";
    what_arrives_is_what_the_policy_allows = "head";
}

#[test]
fn mutations_are_the_same_for_the_same_seed_and_others_for_another() {
    let inputs = [b"one".to_vec(), b"another".to_vec()];
    let run = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..50).map(|_| mutator.next(&inputs, &["word"])).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

fn short(bytes: &[u8]) -> anyhow::Result<()> {
    anyhow::ensure!(bytes.len() < 3, "too long");
    Ok(())
}

#[test]
fn a_target_that_finds_something_names_the_input() {
    let broken = Target { name: "host", run: short, words: &[], count: 0 };
    assert_eq!(wrong(&broken, b"ab"), None);
    assert!(wrong(&broken, b"a\\\xff").unwrap().ends_with("\na\\x5c\\xff"));
    let panics = Target { run: |_| panic!("on purpose"), ..broken };
    assert!(wrong(&panics, b"").unwrap().contains("it panics"));
}
