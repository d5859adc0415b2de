//! Every example is run: the policies of `examples/` by the commands that their reader would type, the blocks of the reference by the compiler.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use keygress::Policy;
use keygress_policy::document::REFERENCE;
use keygress_policy::problem::{self, Colour, SourceFile};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let others = ["first-run", "broker/broker.yaml", "broker/sidecar.yaml", "agents/coding-agent", "agents/ci-job", "agents/notebook"];
    let mut found: Vec<_> = others.into_iter().map(|name| folder.join(name)).collect();
    found.extend(folder.join("policies").read_dir().unwrap().map(|entry| entry.unwrap().path()));
    assert!(found.len() >= 5, "{found:?}");
    found
}

fn keygress(arguments: &[&str], policy: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keygress")).args(arguments).arg(policy).output().unwrap()
}

/// The YAML blocks of a Markdown text.
fn blocks(markdown: &str) -> Vec<&str> {
    markdown.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout))
}

#[test]
fn every_example_is_without_problem() {
    for policy in examples() {
        let output = keygress(&["check"], &policy);
        assert!(output.status.success() && text(&output).contains(", 0 warnings"), "{}: {}", policy.display(), text(&output));
    }
}

#[test]
fn every_example_passes_its_own_tests_and_denies_something() {
    for policy in examples() {
        let output = keygress(&["test", "--format", "json"], &policy);
        assert!(output.status.success(), "{}: {}", policy.display(), text(&output));
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["failed"], 0);
        assert!(result["passed"].as_u64().unwrap() >= 5, "{}: {result}", policy.display());
    }
}

#[test]
fn the_unit_starts_keygress_with_flags_that_it_knows() {
    let unit = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/systemd/keygress.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/keygress ")).unwrap();
    // A folder that is not there is reported only when the flags are understood: a usage error is another exit code.
    let start = start.replace("/etc/keygress/", "/nowhere/");
    let output = Command::new(env!("CARGO_BIN_EXE_keygress")).args(start.split(' ')).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("/nowhere/policy"), "{}", text(&output));
}

#[test]
fn every_policy_of_the_readme_passes_its_own_tests() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let policies: Vec<_> = blocks(&readme).into_iter().filter(|block| block.starts_with("version:")).collect();
    assert!(!policies.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("keygress.yaml");
    for text in policies {
        std::fs::write(&policy, text).unwrap();
        let output = keygress(&["test"], &policy);
        assert!(output.status.success(), "{text}\n{output:?}");
    }
}

#[test]
fn every_block_of_the_reference_compiles() {
    let blocks = blocks(REFERENCE);
    assert!(!blocks.is_empty());
    for block in blocks {
        let files = [SourceFile { name: "reference.md".into(), text: block.into() }];
        if let Err(problems) = Policy::compile(&files, jiff::civil::date(2026, 11, 24)) {
            panic!("{}\n{block}", problem::render(&problems, &files, Colour::Plain));
        }
    }
}

/// Two parsers that share no code read the same values from the same text: neither has a reading of its own.
#[test]
fn another_yaml_parser_reads_every_example_alike() {
    let mut texts: Vec<String> = REFERENCE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    for folder in examples() {
        let files = if folder.is_dir() { folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect() } else { vec![folder] };
        texts.extend(
            files
                .iter()
                .filter(|file| file.extension().is_some_and(|end| end == "yaml"))
                .map(|file| std::fs::read_to_string(file).unwrap()),
        );
    }
    assert!(texts.len() > 10, "{}", texts.len());
    for text in texts {
        let one: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let other: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(one, other, "{text}");
    }
}
