//! The audit in other forms: for spreadsheets, and as OCSF for what collects security events.

use std::path::Path;
use std::process::Output;

use keygress_tests::client::bare;
use keygress_tests::proxy::binary;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use serde_json::Value;

use crate::ledger;

fn audit(site: &Site, arguments: &[&str]) -> (String, String, bool) {
    let output: Output = bare(binary().unwrap()).arg("audit").args(arguments).current_dir(site.folder()).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap(), output.status.success())
}

/// A policy of two owners.
fn policy(file: &Path, port: u16) -> String {
    format!(
        "version: 1
credentials:
  own:
    owner: shop@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [localhost]
  other: {{ owner: lab@example.com, source: {{ exec: {{ command: [/bin/true] }} }}, inject: bearer, only_to: [other.test] }}
rules:
  echo: {{ from: any, to: 'https://localhost:{}', allow_ips: [127.0.0.0/8, '::1/128'], allow: [GET /hello], credential: own }}
  other: {{ from: any, to: 'https://other.test', allow: [GET /], credential: other }}
",
        file.display(),
        port
    )
}

#[test]
fn what_was_done_is_exported_with_all_that_a_collector_requires() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    let secret = canary().unwrap();
    let file = site.write_secret("key", &secret).unwrap();
    site.write_secret("state-key", "0123456789abcdef0123456789abcdef").unwrap();
    let policy = policy(&file, echo.port);
    site.write("policy.yaml", &policy).unwrap();
    let (serving, address) = ledger::serve(&site);
    for (path, expected) in [("hello", "200"), ("forbidden", "403")] {
        assert_eq!(ledger::get(&site, &address, &format!("https://localhost:{}/{path}", echo.port)), expected);
    }
    drop(serving);

    let (out, err, ok) = audit(&site, &["export", "audit.jsonl", "--format", "ocsf"]);
    assert!(ok, "{err}");
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let records = std::fs::read_to_string(site.folder().join("audit.jsonl")).unwrap();
    assert_eq!(events.len(), records.lines().count(), "one event for each record: {err}");
    for event in &events {
        for key in ["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"] {
            assert!(!event[key].is_null(), "no {key}: {event}");
        }
    }
    let of = |code: &str| events.iter().find(|event| event["metadata"]["event_code"] == code).unwrap_or_else(|| panic!("{code}: {out}"));
    let (used, denied, issued) = (of("used"), of("denied"), of("issued"));
    assert_eq!((&used["class_uid"], &used["activity_name"], &used["http_response"]["code"]), (&4002.into(), &"Get".into(), &200.into()));
    assert_eq!((&used["dst_endpoint"]["hostname"], &used["dst_endpoint"]["port"]), (&"localhost".into(), &echo.port.into()));
    assert_eq!(
        (&denied["action_id"], &denied["status_id"], &denied["http_request"]["url"]["path"]),
        (&2.into(), &2.into(), &"/forbidden".into())
    );
    assert_eq!((&issued["class_uid"], &issued["entity"]["name"]), (&3004.into(), &"own".into()));
    assert_eq!(used["unmapped"]["keygress"]["fingerprint"], issued["unmapped"]["keygress"]["fingerprint"]);

    let (out, _, ok) = audit(&site, &["export", "audit.jsonl", "--format", "csv", "--event", "used"]);
    let lines: Vec<&str> = out.split("\r\n").collect();
    assert!(ok && lines[0].starts_with("time,record,seq,event,workload,task,") && lines.len() == 3, "{out}");
    let cell = |name: &str| lines[1].split(',').nth(lines[0].split(',').position(|head| head == name).unwrap()).unwrap();
    assert_eq!((cell("event"), cell("method"), cell("path"), cell("status"), cell("credential")), ("used", "GET", "/hello", "200", "own"));

    let owner = |owner: &str| audit(&site, &["query", "audit.jsonl", "--owner", owner, "--policy", "policy.yaml", "--by", "credential"]);
    assert!(owner("shop@example.com").0.trim().ends_with("own"), "{:?}", owner("shop@example.com"));
    assert_eq!(owner("lab@example.com").0, "", "nothing was done with what the lab owns");
    let (_, err, ok) = owner("nobody");
    assert!(!ok && err.contains("owners are lab@example.com, shop@example.com"), "{err}");
    let (_, err, ok) = audit(&site, &["query", "audit.jsonl", "--owner", "shop@example.com"]);
    assert!(!ok && err.contains("--policy"), "{err}");
    // What another policy would have answered to the same requests.
    site.write("new.yaml", &policy.replace("allow: [GET /hello]", "allow: [GET /forbidden]")).unwrap();
    let diff = bare(binary().unwrap())
        .args(["diff", "policy.yaml", "new.yaml", "--traffic", "audit.jsonl", "--format", "json"])
        .current_dir(site.folder())
        .output()
        .unwrap();
    let traffic = serde_json::from_slice::<Value>(&diff.stdout).unwrap_or_else(|error| panic!("{error}: {diff:?}"))["traffic"].clone();
    let shifts: Vec<_> = traffic["differences"].as_array().unwrap().iter().map(|one| (&one["shift"], &one["paths"][0])).collect();
    assert_eq!(shifts, [(&"gained".into(), &"/forbidden".into()), (&"lost".into(), &"/hello".into())], "{traffic}");
    assert_eq!((&traffic["requests"], &traffic["caveats"]), (&2.into(), &serde_json::json!([])));
    assert!(!out.contains(&secret) && !events.iter().any(|event| event.to_string().contains(&secret)));
}
