//! `inventory`: what it prints, for people, machines and spreadsheets, and its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::process::Command;

const POLICY: &str = "\
version: 1
workloads:
  job: { labels: { stage: test }, task: { labels: { kind: ci } } }
credentials:
  key:
    owner: \"=you,me\"
    labels: { stage: production }
    static: { reason: a test, expires: 2099-12-31 }
    source: { file: /run/secrets/key }
    inject: bearer
    only_to: [api.github.com]
rules:
  read:
    from: [job]
    to: https://api.github.com
    allow: ['GET /things/{id}', PUT /things/**]
    credential: key
";

const AUDIT: &str = r#"{"seq":1,"time":1700000000000,"activity":"used","metadata":{"uid":"a-1"},"http_request":{"http_method":"GET","url":{"hostname":"api.github.com","path":"/things/1"}},"keygress":{"workload":"job","rule":"read","credential":"key","lease":"l","fingerprint":"f"}}
{"seq":2,"time":17000000"#;

/// Standard output, standard error and exit code.
fn keygress(arguments: &[&str], policy: &str) -> (String, String, i32) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.yaml"), policy).unwrap();
    std::fs::write(folder.path().join("audit.jsonl"), AUDIT).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_keygress")).args(arguments).current_dir(folder.path()).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap(), output.status.code().unwrap())
}

#[test]
fn people_see_who_owns_what_who_spends_it_and_what_is_wrong() {
    let (out, err, code) = keygress(&["inventory", "policy.yaml", "--audit", "audit.jsonl"], POLICY);
    assert_eq!(code, 0, "{err}");
    let row = out.lines().nth(1).unwrap();
    for part in ["key", "static", "=you,me", "file", "2099-12-31", "api.github.com", "job", "by job", "1"] {
        assert!(row.contains(part), "{part}: {row}");
    }
    for part in ["use `github_app`", "`key` is for stage `production`", "policy.yaml:5", "findings: 1 high"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(err.contains("the last line is not complete"), "{err}");
    assert!(!out.contains('\x1b'), "colour without a terminal: {out}");
}

#[test]
fn machines_and_spreadsheets_get_the_same() {
    let (out, _, _) = keygress(&["inventory", "policy.yaml", "--audit", "audit.jsonl", "--format", "json"], POLICY);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let row = &document["credentials"][0];
    assert_eq!((&row["credential"], &row["uses"], &row["last_use"]["workload"]), (&"key".into(), &1.into(), &"job".into()));
    assert_eq!(document["audit"]["span"][0], "2023-11-14T22:13:20Z");
    assert_eq!(document["findings"][0]["check"], "stage_crossed");

    let (out, _, _) = keygress(&["inventory", "policy.yaml", "--format", "csv"], POLICY);
    let mut lines = out.split("\r\n");
    assert!(lines.next().unwrap().starts_with("credential,kind,owner,labels,"));
    assert!(lines.next().unwrap().starts_with("key,static,\"'=you,me\",stage=production,file,bearer,"), "{out}");
}

#[test]
fn a_blast_radius_is_that_of_a_workload_or_a_credential() {
    let (out, _, code) = keygress(&["inventory", "policy.yaml", "--workload", "job"], POLICY);
    assert!(code == 0 && out.contains("spend key at https://api.github.com") && out.contains("+ PUT /things/**"), "{out}");
    assert!(out.ends_with("1 credential within reach of job: key\n"), "{out}");
    let (out, _, _) = keygress(&["inventory", "policy.yaml", "--credential", "key", "--audit", "audit.jsonl"], POLICY);
    assert!(out.contains("job at https://api.github.com") && out.contains("2023-11-14T22:13:20Z"), "{out}");
    for wrong in [["--workload", "nobody"], ["--credential", "nobody"]] {
        let (_, err, code) = keygress(&[&["inventory", "policy.yaml"], &wrong[..]].concat(), POLICY);
        assert!(code == 1 && err.contains("`nobody`"), "{err}");
    }
}

#[test]
fn an_expired_key_is_listed_and_what_is_severe_can_fail_a_job() {
    let expired = POLICY.replace("2099-12-31", "2020-12-31");
    let (out, err, code) = keygress(&["inventory", "policy.yaml", "--fail-on", "high"], &expired);
    assert!(code == 1 && out.contains("2020-12-31 (past)") && out.contains("expired on 2020-12-31"), "{out}{err}");
    let (_, err, code) = keygress(&["inventory", "policy.yaml"], &POLICY.replace("inject: bearer", "inject: bear"));
    assert!(code == 1 && err.ends_with("error: the policy has errors\n"), "{err}");
    let clean = POLICY.replace("stage: test", "stage: production").replace("api.github.com", "api.example.com");
    let (_, _, code) = keygress(&["inventory", "policy.yaml", "--fail-on", "high"], &clean);
    assert_eq!(code, 0);
}

#[test]
fn records_are_found_and_counted_and_a_torn_end_is_told() {
    let (out, err, code) =
        keygress(&["audit", "query", "audit.jsonl", "--credential", "key", "--event", "used", "--since", "2023-11-14"], POLICY);
    assert!(code == 0 && out.lines().count() == 1 && AUDIT.starts_with(out.trim_end()), "{out}");
    assert!(err.contains("the last line is not complete"), "{err}");
    for (flag, other) in [("--credential", "another"), ("--host", "h"), ("--status", "404"), ("--until", "2023-11-14"), ("--workload", "w")]
    {
        assert_eq!(keygress(&["audit", "query", "audit.jsonl", flag, other], POLICY).0, "", "{flag}");
    }
    assert_eq!(keygress(&["audit", "query", "audit.jsonl", "--by", "workload"], POLICY).0, "         1  job\n");
    let (_, err, code) = keygress(&["audit", "query", "audit.jsonl", "--since", "yesterday"], POLICY);
    assert!(code == 1 && err.contains("write a moment as"), "{err}");
}
