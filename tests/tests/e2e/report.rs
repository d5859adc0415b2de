//! A report maps what was found to controls, with its evidence, and says what is unknown.

use std::process::Output;

use keygress_tests::client::bare;
use keygress_tests::proxy::binary;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::Site;
use serde_json::Value;

use crate::ledger;

fn key() -> String {
    format!("gsk_{}", &"b9Kd72LmXq0ZtR4vWc81".repeat(3)[..52])
}

fn run(site: &Site, arguments: &[&str]) -> Output {
    bare(binary().unwrap()).args(arguments).current_dir(site.folder()).output().unwrap()
}

fn report(site: &Site, more: &[&str]) -> (Value, String) {
    let output = run(site, &[&["report", "policy.yaml", "--format", "json"], more].concat());
    assert!(output.status.success(), "{output:?}");
    let text = run(site, &[&["report", "policy.yaml"], more].concat());
    (serde_json::from_slice(&output.stdout).unwrap(), String::from_utf8(text.stdout).unwrap())
}

fn control<'r>(report: &'r Value, id: &str) -> &'r Value {
    let mut all = report["frameworks"].as_array().unwrap().iter().flat_map(|framework| framework["controls"].as_array().unwrap());
    all.find(|control| control["id"] == id).unwrap_or_else(|| panic!("{id}"))
}

fn status(report: &Value, check: &str) -> String {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|one| one["id"] == check).unwrap_or_else(|| panic!("{check}"))["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_report_says_what_was_seen_and_what_is_unknown() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    let file = site.write_secret("key", &key()).unwrap();
    site.write_secret("state-key", "0123456789abcdef0123456789abcdef").unwrap();
    let policy = format!(
        "version: 1
credentials:
  own:
    owner: nobody
    labels: {{ stage: test }}
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [localhost]
rules:
  echo: {{ from: any, to: 'https://localhost:{}', allow_ips: [127.0.0.0/8, '::1/128'], allow: [GET /hello], credential: own }}
",
        file.display(),
        echo.port
    );
    site.write("policy.yaml", &policy).unwrap();
    let (without, text) = report(&site, &[]);
    assert_eq!((status(&without, "owner_missing").as_str(), status(&without, "everything").as_str()), ("findings", "clear"));
    assert_eq!((status(&without, "records_lost").as_str(), status(&without, "outside_proxy").as_str()), ("unknown", "unknown"));
    assert_eq!((&control(&without, "NHI10")["status"], &control(&without, "GV.RR-02")["findings"]), (&"unseen".into(), &1.into()));
    assert!(text.contains("Audit: none was given") && text.contains("| NHI3 | Vulnerable Third-Party NHI | not seen: "), "{text}");

    let (serving, address) = ledger::serve(&site);
    assert_eq!(ledger::get(&site, &address, &format!("https://localhost:{}/hello", echo.port)), "200");
    drop(serving);
    site.write("left.env", &key()).unwrap();
    let scan = run(&site, &["scan", "left.env", "missing", "--format", "json"]);
    site.write("scan.json", std::str::from_utf8(&scan.stdout).unwrap()).unwrap();
    let (with, text) = report(&site, &["--audit", "audit.jsonl", "--scan", "scan.json"]);
    let evidence = &with["evidence"];
    assert_eq!((&evidence["credentials"], &evidence["scan"]["files"], &evidence["scan"]["incomplete"]), (&1.into(), &1.into(), &1.into()));
    assert!(evidence["audit"]["records"].as_u64().unwrap() >= 3 && evidence["audit"]["span"][0].is_string(), "{evidence}");
    assert_eq!(evidence["policy"][0]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!((status(&with, "records_lost").as_str(), status(&with, "outside_proxy").as_str()), ("clear", "findings"));
    assert_eq!(status(&with, "unused_rule"), "unknown", "an audit of a moment says nothing of thirty days");
    assert_eq!((&control(&with, "NHI2")["status"], &control(&with, "PR.PS-04")["status"]), (&"findings".into(), &"clear".into()));
    assert!(text.contains("a key (groq) lies outside the proxy") && text.contains("(left.env:1)"), "{text}");
    assert!(text.contains("Where clear, it shows that every credential names an owner") && text.contains("It does not show "), "{text}");
    for said in [&text, &with.to_string()] {
        assert!(!said.contains(&key()[20..40]), "a key was told");
    }

    let broken = run(&site, &["report", "policy.yaml", "--scan", "policy.yaml"]);
    assert!(!broken.status.success() && String::from_utf8_lossy(&broken.stderr).contains("`policy.yaml` is no JSON"), "{broken:?}");
}
