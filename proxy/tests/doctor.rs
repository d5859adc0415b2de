//! `keygress doctor` and `keygress health`: what they find, and that they find what is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::Value;

const POLICY: &str = "version: 1\nrules:\n  docs: { to: 'https://docs.example.com' }\n";

/// The exit code, and the level and detail of each finding by its name.
fn doctor(command: &mut Command) -> (i32, impl Fn(&str) -> (String, String) + use<>) {
    command.args(["doctor", "--format", "json"]);
    let output = loop {
        match command.output() {
            // A child of another test may hold a fresh copy open for writing until it is a program itself.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => break output.unwrap(),
        }
    };
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let found = move |name: &str| {
        let chapters = report["chapters"].as_array().unwrap();
        let mut findings = chapters.iter().flat_map(|chapter| chapter["findings"].as_array().unwrap());
        let found = findings.find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {report:#}"));
        (found["level"].as_str().unwrap().to_owned(), found["detail"].as_str().unwrap().to_owned())
    };
    (output.status.code().unwrap(), found)
}

fn keygress() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keygress"));
    command.env_clear();
    command
}

#[test]
fn the_sandbox_holds_here_and_a_request_goes_its_way() {
    let (code, found) = doctor(&mut keygress());
    assert_eq!(code, 0);
    for name in ["undumpable", "no core", "secret memory", "no capabilities", "no new privileges", "folders", "system calls", "tried"] {
        assert_eq!(found(name).0, "good", "{name}: {}", found(name).1);
    }
    for name in ["request", "injected", "stripped", "came back", "on record"] {
        assert_eq!(found(name).0, "good", "{name}: {}", found(name).1);
    }
    assert_eq!(found("request").1, "GET /probe by rule `probe`: 200");
    assert_eq!(found("policy").0, "warning", "none was named");
    assert_eq!(found("confine").0, "good", "{}", found("confine").1);
}

#[test]
fn a_policy_that_others_may_write_is_found_and_so_is_an_audit_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    fs::write(&path, POLICY).unwrap();
    let look = |audit: &Path| {
        let mut command = keygress();
        doctor(command.env("KEYGRESS_POLICY", &path).env("KEYGRESS_AUDIT", audit))
    };
    let (code, found) = look(&folder.path().join("audit.jsonl"));
    assert_eq!((code, found("policy").0, found("audit").0, found("callers").0), (0, "good".into(), "good".into(), "good".into()));
    assert!(found("ledger").0 == "warning" && found("ledger").1.contains("--state"), "none was named");
    fs::set_permissions(&path, Permissions::from_mode(0o646)).unwrap();
    let (code, found) = look(&folder.path().join("nowhere/audit.jsonl"));
    assert_eq!((code, found("policy").0, found("audit").0), (1, "bad".into(), "bad".into()));
    assert!(found("policy").1.contains("may be written by everybody: `chmod go-w "), "{}", found("policy").1);
    fs::write(&path, "version: 1\nruls: {}\n").unwrap();
    assert_eq!(look(&folder.path().join("audit.jsonl")).1("policy").1, "it does not load: `keygress check` says why");
}

#[test]
fn a_ledger_without_its_key_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("policy.yaml"), POLICY).unwrap();
    let look = || {
        let mut command = keygress();
        command.env("KEYGRESS_POLICY", path("policy.yaml")).env("KEYGRESS_AUDIT", path("audit.jsonl"));
        doctor(command.env("KEYGRESS_STATE", path("state")).env("KEYGRESS_STATE_KEY", path("key")))
    };
    let (code, found) = look();
    assert_eq!((code, found("ledger").0), (1, "bad".into()));
    fs::write(path("key"), [7; 32]).unwrap();
    fs::set_permissions(path("key"), Permissions::from_mode(0o600)).unwrap();
    let (code, found) = look();
    assert_eq!((code, found("ledger").0), (0, "good".into()), "{}", found("ledger").1);
}

#[test]
fn memory_that_cannot_be_locked_is_found() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("keygress");
    fs::copy(env!("CARGO_BIN_EXE_keygress"), &binary).unwrap();
    let mut command = Command::new(&binary);
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let none = || Ok(setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: Some(0) })?);
    // SAFETY: the child calls setrlimit(2) alone before it becomes the program.
    unsafe { command.pre_exec(none) };
    let (code, found) = doctor(&mut command);
    assert_eq!((code, found("secret memory").0), (1, "bad".into()));
    assert!(found("secret memory").1.contains("RLIMIT_MEMLOCK: 0 KiB at most"), "{}", found("secret memory").1);
    assert_eq!(found("injected").0, "good", "it works all the same");
}

#[test]
fn health_says_no_where_nobody_answers_or_nobody_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ask = |arguments: &[&str]| {
        let output = keygress().arg("health").args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(ask(&["--metrics", &free.to_string()]).1.starts_with("error: no answer: "));
    assert_eq!(ask(&["--metrics", &free.to_string()]).0, 1);
    assert!(ask(&[]).1.contains("nothing says whom to ask"));
}
