//! Everything is on record, allowed or not, and the secret is nowhere.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use keygress::audit::Sink;
use keygress_policy::destination::Host;
use keygress_tests::client::{bare, output};
use keygress_tests::process::Process;
use keygress_tests::proxy::{Proxy, binary};
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

use crate::world::{World, policy, rule};

#[test]
fn what_was_allowed_and_what_was_denied_is_on_record() {
    let mut world = World::new();
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    world.curl(&[&world.url("/forbidden?token=abc")]).0.is_denied().unwrap();
    world.proxy.stop();
    let records = world.proxy.records().unwrap();
    let of = |activity: &str| records.iter().find(|record| record["activity"] == activity).unwrap_or_else(|| panic!("{records:#?}"));
    let (used, denied) = (of("used"), of("denied"));
    assert_eq!((used["keygress"]["rule"].as_str(), used["keygress"]["credential"].as_str()), (Some("echo"), Some("key")));
    assert_eq!((used["status_code"].as_u64(), used["http_request"]["url"]["path"].as_str()), (Some(200), Some("/hello")));
    assert_eq!((denied["keygress"]["code"].as_str(), denied["status_code"].as_u64()), (Some("not_allowed"), Some(403)));
    assert_eq!(denied["http_request"]["url"]["path"].as_str(), Some("/forbidden"));
    assert!(used["actor"]["process"]["uid"].is_u64(), "{used}");
    assert!(used["keygress"]["fingerprint"].is_string(), "{used}");
}

#[test]
fn the_secret_is_in_no_record_metric_or_reply() {
    let mut world = World::new();
    let mut said = String::new();
    for path in ["/hello", "/forbidden", "/hello/../x", "/status/500"] {
        let (reply, _) = world.curl(&["--path-as-is", &world.url(path)]);
        said += &format!("{reply:?}\n");
    }
    said += &world.proxy.metrics();
    world.proxy.stop();
    said += &world.proxy.record_lines().join("\n");
    assert!(said.contains("keygress_requests_total") && said.contains("path_ambiguous"), "{said}");
    assert!(!said.contains(&world.key), "{said}");
    assert!(!said.contains("own-key-of-the-application"), "{said}");
}

#[test]
fn an_audit_is_followed_while_it_is_written() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let key = canary().unwrap();
    let audit = site.folder().join("audit.jsonl");
    let text = policy(&site, &key, &rule(echo.port));
    let proxy = Proxy::start_with(&site, &text, |settings| settings.audit = Sink::File(audit.clone())).unwrap();
    let world = World { echo, key, proxy, site };
    assert_eq!(world.curl(&[&world.url("/hello/before")]).0.status, 200);
    let mut tail = bare(binary().unwrap());
    let tail = Process::start(tail.args(["audit", "tail", "--lines", "100", "--event", "denied"]).arg(&audit), "").unwrap();
    for path in ["/hello/after", "/forbidden/one", "/forbidden/two"] {
        world.curl(&[&world.url(path)]);
    }
    tail.wait_for("/forbidden/two").unwrap();
    let lines = tail.lines();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("\"denied\"")), "{lines:?}");
}

#[test]
fn a_use_that_keygress_did_not_make_is_found_in_the_log_of_the_provider() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "api.github.com").unwrap();
    let audit = site.folder().join("audit.jsonl");
    let text = policy(&site, &canary().unwrap(), &rule(echo.port)).replace("echo.test", "api.github.com");
    let mut proxy = Proxy::start_with(&site, &text, |settings| {
        settings.audit = Sink::File(audit.clone());
        settings.pins.insert(Host::parse("api.github.com").unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    })
    .unwrap();
    let mut curl = proxy.client(tools::program("curl").unwrap());
    assert_eq!(
        output(curl.args(["--silent", "--max-time", "60", &format!("https://api.github.com:{}/hello", echo.port)])).unwrap(),
        "hello\n"
    );
    let now = Timestamp::now().as_millisecond();
    proxy.stop();
    let entry = |id: &str, path: &str| {
        format!(
            "{{\"_document_id\":\"{id}\",\"@timestamp\":{now},\"action\":\"api.request\",\"hashed_token\":\"aGFzaA==\",\
             \"request_method\":\"GET\",\"url_path\":\"{path}\"}}\n"
        )
    };
    let reconcile = |log: &str| {
        let log = site.write("github.jsonl", log).unwrap();
        let mut command = bare(binary().unwrap());
        command.args(["audit", "reconcile", "--skew", "10min"]).arg(&audit).arg("--github").arg(log).output().unwrap()
    };
    let done = reconcile(&entry("ours", "/hello"));
    assert!(done.status.success() && String::from_utf8_lossy(&done.stdout).contains("1 made by keygress, 0 not"), "{done:?}");
    let done = reconcile(&[entry("ours", "/hello"), entry("foreign", "/user/keys")].concat());
    let printed = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.code() == Some(1) && printed.contains("api.request GET /user/keys") && printed.contains("1 not"), "{done:?}");
}

#[test]
fn a_request_is_explained_by_the_id_that_its_refusal_names() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let (key, audit) = (canary().unwrap(), site.folder().join("audit.jsonl"));
    let text = policy(&site, &key, &rule(echo.port));
    let policy = site.write("now.yaml", &text).unwrap();
    let proxy = Proxy::start_with(&site, &text, |settings| settings.audit = Sink::File(audit.clone())).unwrap();
    let mut world = World { echo, key, proxy, site };
    assert_eq!(world.curl(&[&world.url("/hello"), "--header", "X-Api-Key: own-key-of-the-application"]).0.status, 200);
    let (refused, _) = world.curl(&[&world.url("/forbidden")]);
    world.proxy.stop();
    let refused: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    let explain = |id: &str| {
        let mut command = bare(binary().unwrap());
        output(command.args(["explain", "--id", id, "--audit"]).arg(&audit).arg("--policy").arg(&policy)).unwrap()
    };
    let told = explain(refused["instance"].as_str().unwrap());
    assert!(told.starts_with("refused  GET https://echo.test") && told.contains("why         not_allowed: "), "{told}");
    assert!(told.contains("now         deny, as then: "), "{told}");
    let written = std::fs::read_to_string(&audit).unwrap();
    let records = written.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let used = records.into_iter().find(|record| record["activity"] == "used").unwrap();
    let sent = explain(&used["keygress"]["request"].to_string());
    assert!(sent.starts_with("sent  GET https://echo.test") && sent.contains("credential  `key`, lease "), "{sent}");
    assert!(sent.contains("stripped    authorization, x-api-key, as the application sent it"), "{sent}");
    assert!(!sent.contains("own-key-of-the-application") && !sent.contains(&world.key), "{sent}");
}
