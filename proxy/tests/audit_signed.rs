//! `serve` in its sandbox signs its audit with a key of its own, puts files aside and hands records on; `audit verify` tells what was done to them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const POLICY: &str = "version: 1\nrules:\n  docs: { to: 'https://docs.example.com' }\n";

/// Serves until it says that it listens, loads the policy a few times, and stops.
fn live(folder: &Path, reloads: usize) {
    let at = |name: &str| folder.join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_keygress"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--audit-rotate-every", "0s", "--unsafe-writable-files"]);
    for (flag, name) in [("--policy", "policy.yaml"), ("--audit", "audit.jsonl"), ("--state", "state"), ("--state-key", "state-key")] {
        command.arg(flag).arg(at(name));
    }
    command.arg("--audit-also").arg(format!("syslog:{}", at("log").display()));
    let mut child = command.env_clear().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    let mut heard = |words: &str| loop {
        let line = log.next().unwrap_or_else(|| panic!("`{words}` never came: {said:#?}"));
        let is_it = line.contains(words);
        said.push(line);
        if is_it {
            return;
        }
    };
    heard("listens on");
    for generation in 0..reloads {
        fs::write(at("policy.yaml"), format!("{POLICY}# {generation}\n")).unwrap();
        kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
        heard("policy");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The audit's files, oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut aside: Vec<_> = all.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("audit.jsonl.")).collect();
    aside.sort();
    aside.push(folder.join("audit.jsonl"));
    aside
}

fn verify(files: &[PathBuf], more: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keygress"));
    command.args(["audit", "verify"]).args(files);
    for (flag, value) in ["--key", "--checkpoint"].iter().zip(more) {
        command.arg(flag).arg(value);
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_audit_of_serve_is_signed_put_aside_and_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("policy.yaml"), POLICY).unwrap();
    fs::write(at("state-key"), [9; 32]).unwrap();
    fs::set_permissions(at("state-key"), fs::Permissions::from_mode(0o600)).unwrap();
    let log = UnixDatagram::bind(at("log")).unwrap();
    log.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    live(folder.path(), 2);
    live(folder.path(), 0);

    let mut room = [0; 4096];
    let length = log.recv(&mut room).unwrap();
    assert!(String::from_utf8_lossy(&room[..length]).contains(" opened - {\"seq\":1,"));

    let files = files(folder.path());
    assert!(files.len() >= 3, "{files:?}");
    let (key, state) = (at("state/audit-key.pub"), at("state"));
    let checkpoint = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    let checkpoint = checkpoint.into_iter().find(|path| path.to_str().unwrap().contains("audit-checkpoint-")).unwrap();
    let whole = verify(&files, &[&key, &checkpoint]);
    assert!(whole.status.success(), "{}", text(&whole));
    assert!(text(&whole).contains("one unbroken chain\nsigned: up to record "), "{}", text(&whole));
    assert!(!text(&whole).contains("not s"), "{}", text(&whole));
    assert!(text(&verify(&files, &[])).contains("not shown: whether records were cut off behind the last"));

    let without_last = verify(&files[..files.len() - 1], &[&key, &checkpoint]);
    assert_eq!(without_last.status.code(), Some(1));
    assert!(text(&without_last).contains("its end was cut off"), "{}", text(&without_last));
    let without_first = verify(&files[1..], &[&key]);
    assert!(text(&without_first).contains("name the files before it too"), "{}", text(&without_first));
    let other = at("other.pub");
    fs::write(&other, format!("ed25519:{}A\n", "A".repeat(42))).unwrap();
    assert!(text(&verify(&files, &[&other])).contains("it was signed with another key"));
}
