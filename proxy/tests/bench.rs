//! `keygress bench`, for real: counts are asserted, times are not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keygress")).arg("bench").args(arguments).output().unwrap()
}

fn report(output: &Output) -> Value {
    let text = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text()))
}

/// Right answers and errors of every run that counts, each of which has its figure.
fn counts(report: &Value, figure: &str) -> Vec<(u64, Value)> {
    let outcomes = report["outcomes"].as_array().unwrap().iter();
    let rows = outcomes.flat_map(|outcome| outcome["rows"].as_array().unwrap());
    let runs = rows.flat_map(|row| row["runs"].as_array().unwrap());
    let has =
        |run: &&Value| run["figures"].as_array().unwrap().iter().any(|one| one["metric"] == figure && one["value"].as_f64().unwrap() > 0.0);
    runs.inspect(|run| assert!(has(run), "no {figure} in {run}"))
        .map(|run| (run["right"].as_u64().unwrap(), run["errors"].clone()))
        .collect()
}

#[test]
fn a_scenario_runs_with_nothing_else_and_every_answer_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(&["S1", "--quick", "--format", "json", "--out", folder.path().to_str().unwrap()]);
    let report = report(&output);
    // How many there are in the time that a quick run has is the machine's affair.
    for (right, errors) in counts(&report, "cpu per request") {
        assert!((1..=8_000).contains(&right) && errors == serde_json::json!({}), "{right} {errors}");
    }
    assert!(output.status.success());
    assert_eq!((report["format"].as_u64(), report["outcomes"][0]["scenario"].as_str()), (Some(1), Some("S1")));
    let written: Value = serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(written, report);
}

#[test]
fn interception_over_http1_and_http2_runs_too() {
    let report = report(&bench(&["s3", "--quick", "--format", "json"]));
    let counts = counts(&report, "throughput");
    assert!(
        counts.len() >= 2 && counts.iter().all(|(right, errors)| (1..=6_000).contains(right) && *errors == serde_json::json!({})),
        "{counts:?}"
    );
}

/// A policy that answers for a URL of loopback on which nobody listens.
fn own_policy() -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let policy = folder.path().join("policy.yaml");
    let text = format!(
        "version: 1\nrules:\n  own: {{ to: 'http://127.0.0.1:{}', unsafe_plaintext: true, allow_ips: [127.0.0.1], allow: [GET /here] }}\n",
        nobody.port()
    );
    fs::write(&policy, text).unwrap();
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o600)).unwrap();
    let policy = policy.to_str().unwrap().to_owned();
    (folder, policy, format!("http://{nobody}"))
}

#[test]
fn a_policy_of_ones_own_is_loaded_and_wrong_answers_are_counted() {
    let (_folder, policy, target) = own_policy();
    let with = |path: &str, status: &str| {
        let target = format!("{target}{path}");
        bench(&["--policy", &policy, "--target", &target, "--requests", "50", "--connections", "2", "--status", status, "--format", "json"])
    };
    // What the policy denies is answered by keygress itself.
    let denied = with("/elsewhere", "403");
    assert_eq!(counts(&report(&denied), "throughput"), [(50, serde_json::json!({}))]);
    assert!(denied.status.success());
    let unexpected = with("/elsewhere", "200");
    assert_eq!(report(&unexpected)["outcomes"][0]["rows"][0]["runs"][0]["errors"]["status 403"], 50);
    assert_eq!(unexpected.status.code(), Some(1));
    let unreachable = with("/here", "502");
    assert_eq!(counts(&report(&unreachable), "throughput"), [(50, serde_json::json!({}))]);
}

#[test]
fn nobody_elses_machine_is_loaded_by_accident() {
    let (_folder, policy, _) = own_policy();
    let output = bench(&["--policy", &policy, "--target", "https://192.0.2.1/"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--unsafe-remote-target"));
}

#[test]
fn what_cannot_be_meant_is_said() {
    let said = |arguments: &[&str]| String::from_utf8_lossy(&bench(arguments).stderr).into_owned();
    assert!(said(&["S99"]).contains("there is no scenario `S99`"));
    assert!(said(&["--target", "http://127.0.0.1/"]).contains("--policy"));
    let list = String::from_utf8(bench(&["--list"]).stdout).unwrap();
    assert_eq!(list.lines().filter(|line| line.starts_with('S')).count(), 14, "{list}");
}
