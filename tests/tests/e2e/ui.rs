//! The admin page and what it is made of: how it goes, who used what, which rule was met, what happens now; and a stop from it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use keygress::config::Detect;
use keygress_tests::client::{TIME_MAX, bare};
use keygress_tests::page::Page;
use keygress_tests::process::Process;
use keygress_tests::proxy::{self, Proxy};
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;
use serde_json::{Value, json};

use crate::world::{World, policy, rule};

fn read(proxy: &Proxy, path: &str) -> Value {
    let (status, answer) = proxy.control("GET", path, &Value::Null).unwrap();
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Asks until the answer is like this, at most a minute: what was done is counted when it is on record, a moment later.
fn once(proxy: &Proxy, path: &str, like_this: impl Fn(&Value) -> bool) -> Value {
    let begun = std::time::Instant::now();
    loop {
        let answer = read(proxy, path);
        if like_this(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < TIME_MAX, "{path}: {answer:#}");
        std::thread::yield_now();
    }
}

/// A world in which a known user is the workload `me`.
fn known() -> World {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let key = canary().unwrap();
    let me = rustix::process::geteuid().as_raw();
    let rules = rule(echo.port).replace("from: any", "from: [me]");
    let text =
        policy(&site, &key, &rules).replace("credentials:\n", &format!("workloads:\n  me: {{ process: {{ uid: {me} }} }}\ncredentials:\n"));
    let proxy = Proxy::start(&site, &text).unwrap();
    World { echo, key, proxy, site }
}

#[test]
fn what_was_used_and_refused_is_counted_for_its_rule_and_credential() {
    let world = known();
    let unused = read(&world.proxy, "/credentials");
    assert_eq!((unused["credentials"][0]["uses"].as_u64(), unused["credentials"][0].get("last")), (Some(0), None));
    for path in ["/hello", "/hello/again", "/hello/but/not/this", "/nothing"] {
        world.curl(&[&world.url(path)]);
    }
    let rules = once(&world.proxy, "/rules", |rules| rules["rules"][0]["refused"] == 1 && rules["rules"][0]["allowed"] == 2);
    let echo = &rules["rules"][0];
    assert_eq!((echo["rule"].as_str(), echo["credential"].as_str(), echo["by"].as_str()), (Some("echo"), Some("key"), Some("me")));
    assert!(echo["last"].as_i64().unwrap() > 0 && echo["from"] == json!(["me"]) && echo["except"] == json!(["GET /hello/but/not/this"]));
    assert_eq!(rules["workloads"], json!(["me"]));

    let listed = once(&world.proxy, "/credentials", |listed| listed["credentials"][0]["uses"] == 2);
    let key = &listed["credentials"][0];
    assert_eq!(
        (key["credential"].as_str(), key["owner"].as_str(), key["kind"].as_str()),
        (Some("key"), Some("tests@example.com"), Some("static"))
    );
    assert_eq!(
        (key["last"]["workload"].as_str(), key["last"]["host"].as_str(), key["last"]["rule"].as_str()),
        (Some("me"), Some("echo.test"), Some("echo"))
    );
    assert_eq!(
        (key["by"][0]["workload"].as_str(), key["by"][0]["count"].as_u64(), key["unchanged_days"].as_i64()),
        (Some("me"), Some(2), Some(0))
    );
    assert!(key["workloads"] == json!(["me"]) && key["expires"] == "2099-12-31" && listed["findings"].is_array());

    let overview =
        once(&world.proxy, "/overview", |overview| overview["series"]["denied"].as_array().unwrap().iter().any(|count| *count == 2));
    let requests = &overview["requests"];
    assert_eq!(
        (requests["injected"].as_u64(), requests["denied"].as_u64(), requests["failed"].as_u64()),
        (Some(2), Some(2), Some(0)),
        "{overview:#}"
    );
    let codes: Vec<_> = overview["codes"].as_array().unwrap().iter().map(|code| code["code"].as_str().unwrap()).collect();
    assert_eq!(codes.len(), 2, "{codes:?}");
    assert!(overview["added"]["median"].as_f64() > Some(0.0) && overview["added"]["high"].as_f64() >= overview["added"]["median"].as_f64());
    assert!(overview["ready"] == true && overview["policy"]["generation"] == 1 && overview["stops"] == 0);
    assert_eq!(overview["series"]["sent"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 2);
}

#[test]
fn a_policy_that_was_rejected_is_remembered_with_its_reason() {
    let world = World::new();
    let good = policy(&world.site, &world.key, &rule(world.echo.port));
    world.proxy.reload(&good.replace("inject: bearer", "inject: nothing_such")).unwrap_err();
    let tells = |reason: &Value| reason.as_str().is_some_and(|reason| reason.contains("nothing_such"));
    let overview = once(&world.proxy, "/overview", |overview| tells(&overview["policy"]["rejected"]["message"]));
    assert!(tells(&overview["policy"]["last_failure"]) && overview["policy"]["loaded"]["generation"] == 1, "{overview:#}");
    world.proxy.reload(&good).unwrap();
    let overview = once(&world.proxy, "/overview", |overview| overview["policy"]["loaded"]["generation"].as_u64() > Some(1));
    assert!(
        overview["policy"]["last_failure"].is_null() && overview["policy"]["rejected"]["message"].is_string(),
        "still told: {overview:#}"
    );
}

#[test]
fn a_request_that_nobody_makes_is_explained() {
    let world = known();
    let asked = |method: &str, path: &str, from: Option<&str>| {
        let question = json!({ "method": method, "url": world.url(path), "from": from });
        world.proxy.control("POST", "/explain", &question).unwrap()
    };
    let (status, allowed) = asked("GET", "/hello", Some("me"));
    assert_eq!(
        (status, allowed["decision"].as_str(), allowed["rule"].as_str(), allowed["credential"].as_str()),
        (200, Some("allow"), Some("echo"), Some("key"))
    );
    let (_, denied) = asked("DELETE", "/hello", None);
    assert!(
        denied["decision"] == "deny"
            && denied["suggestion"].as_str().unwrap().contains("DELETE /hello")
            && denied["rules"][0]["matches"] == false
    );
    for (method, path, from) in [("GE T", "/", None), ("GET", " ", None), ("GET", "/hello", Some("mee"))] {
        let (status, answer) = asked(method, path, from);
        assert!(status == 400 && answer["error"].is_string(), "{answer}");
    }
    assert!(
        world.echo.seen().is_empty() && !world.proxy.record_lines().join("").contains("\"activity\":\"denied\""),
        "nothing is sent or on record"
    );
}

#[test]
fn an_alert_says_what_it_rests_on_and_what_it_means() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let key = canary().unwrap();
    let detect = Detect { settle: Duration::ZERO, ..Detect::default() };
    let proxy = Proxy::start_with(&site, &policy(&site, &key, &rule(echo.port)), |settings| settings.detect = Some(detect)).unwrap();
    assert_eq!(read(&proxy, "/alerts"), json!({ "watching": true, "alerts": [] }));
    let mut curl = proxy.client(tools::program("curl").unwrap());
    curl.args(["--silent", "--max-time", "60", &format!("https://echo.test:{}/hello", echo.port)]);
    assert!(curl.output().unwrap().status.success());
    curl.args(["--header", &format!("X-Key: {key}")]);
    assert!(curl.output().unwrap().status.success());
    let alerts = once(&proxy, "/alerts", |alerts| alerts["alerts"].as_array().unwrap().len() == 1);
    let alert = &alerts["alerts"][0];
    assert_eq!(
        (alert["detector"].as_str(), alert["credential"].as_str(), alert["response"].as_str()),
        (Some("real_value"), Some("key"), Some("alert"))
    );
    assert!(
        alert["meaning"].as_str().unwrap().contains("it is out") && alert["seen"].is_string() && !alerts.to_string().contains(&key),
        "{alert:#}"
    );
    assert_eq!(read(&proxy, "/overview")["alerts"], 1);
}

#[test]
fn without_detectors_it_is_remembered_all_the_same() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let proxy = Proxy::start_with(&site, &policy(&site, &canary().unwrap(), &rule(echo.port)), |settings| settings.detect = None).unwrap();
    let mut curl = proxy.client(tools::program("curl").unwrap());
    assert!(
        curl.args(["--silent", "--max-time", "60", &format!("https://echo.test:{}/hello", echo.port)]).output().unwrap().status.success()
    );
    once(&proxy, "/credentials", |listed| listed["credentials"][0]["uses"] == 1);
    assert_eq!(read(&proxy, "/alerts"), json!({ "watching": false, "alerts": [] }));
}

/// The events that come from a stream, one after the other.
struct Listener(BufReader<UnixStream>);

impl Listener {
    fn new(proxy: &Proxy, query: &str) -> Self {
        let mut stream = UnixStream::connect(proxy.admin()).unwrap();
        stream.set_read_timeout(Some(TIME_MAX)).unwrap();
        write!(stream, "GET /events?{query} HTTP/1.1\r\nHost: admin\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        Self(reader)
    }

    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(event) = line.strip_prefix("data: ") {
                return serde_json::from_str(event).unwrap();
            }
        }
    }
}

#[test]
fn events_come_as_they_happen_those_that_are_wanted() {
    let world = World::new();
    world.curl(&[&world.url("/hello")]);
    world.proxy.await_record("\"activity\":\"used\"").unwrap();
    let (mut all, mut denied) = (Listener::new(&world.proxy, ""), Listener::new(&world.proxy, "matter=denied&text=not-this"));
    // What was before comes first: the policy, then the request.
    let begun: Vec<_> = (0..3).map(|_| all.next()["activity"].as_str().unwrap().to_owned()).collect();
    assert!(begun.contains(&"policy_loaded".to_owned()) && begun.contains(&"used".to_owned()), "{begun:?}");
    world.curl(&[&world.url("/no")]);
    world.curl(&[&world.url("/not-this?secret=query")]);
    let event = denied.next();
    assert_eq!(
        (event["activity"].as_str(), event["http_request"]["url"]["path"].as_str()),
        (Some("denied"), Some("/not-this")),
        "{event:#}"
    );
    assert!(event["keygress"]["code"].is_string() && event.get("prev").is_none() && !event.to_string().contains("secret"), "{event:#}");
    while all.next()["http_request"]["url"]["path"] != "/not-this" {}
    let (status, answer) = world.proxy.control("GET", "/events?matter=everything", &Value::Null).unwrap();
    assert!(status == 400 && answer["error"].as_str().unwrap().contains("matter"), "{answer}");
    let others: Vec<_> = (0..6).map(|_| Listener::new(&world.proxy, "")).collect();
    assert_eq!(world.proxy.control("GET", "/events", &Value::Null).unwrap().0, 503, "streams are few");
    drop(others);
}

#[test]
fn a_credential_is_revoked_from_the_page_and_is_gone() {
    let world = World::new();
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    let page = Page::start(world.proxy.admin()).unwrap();
    let session = page.open().unwrap();
    let heard = page.by(&session, "POST", "/api/revoke", &json!({ "credential": "key", "reason": "leaked" })).unwrap();
    assert_eq!((heard.status, heard.json()["measure"].as_str()), (200, Some("revoked")), "{heard:?}");
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 403);
    let stops = page.by(&session, "GET", "/api/stops", &Value::Null).unwrap().json();
    assert_eq!((stops["stops"][0]["name"].as_str(), stops["stops"][0]["reason"].as_str()), (Some("key"), Some("leaked")));
    assert!(world.proxy.record_lines().join("\n").contains("\"activity\":\"stopped\""));
    let heard = page.by(&session, "POST", "/api/revoke", &json!({ "credential": "key", "host": "x" })).unwrap();
    assert_eq!(heard.status, 400, "{heard:?}");
    assert_eq!(page.by(&session, "POST", "/api/resume", &json!({ "credential": "key" })).unwrap().status, 200);
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    let closed = page.by(&session, "POST", "/api/close", &json!({})).unwrap();
    assert_eq!(closed.status, 200, "{closed:?}");
}

#[test]
fn the_command_prints_a_link_that_opens_and_ends_with_the_session() {
    let world = World::new();
    let mut command = bare(proxy::binary().unwrap());
    let page = Process::start(command.arg("ui").arg("--socket").arg(world.proxy.admin()), "").unwrap();
    let link = format!("http://127.0.0.1:{}", page.wait_for("http://127.0.0.1:").unwrap());
    let (origin, key) = link.split_once("/#open=").unwrap();
    let curl = |arguments: &[&str]| {
        let mut curl = bare(tools::program("curl").unwrap());
        String::from_utf8(
            curl.args(["--silent", "--max-time", "60", "--header", &format!("Origin: {origin}")]).args(arguments).output().unwrap().stdout,
        )
        .unwrap()
    };
    assert!(curl(&[origin]).contains("<!doctype html>"));
    let jar = world.site.folder().join("jar").display().to_string();
    let opened = curl(&["--cookie-jar", &jar, "--data", &json!({ "key": key }).to_string(), &format!("{origin}/session")]);
    let bearer = format!("Authorization: Bearer {}", serde_json::from_str::<Value>(&opened).unwrap()["bearer"].as_str().unwrap());
    assert!(curl(&["--cookie", &jar, "--header", &bearer, &format!("{origin}/api/overview")]).contains("\"ready\":true"));
    assert!(curl(&["--cookie", &jar, "--header", &bearer, "--data", "{}", &format!("{origin}/api/close")]).contains("closed"));
    page.wait_for("The page has ended").unwrap();
    drop(page);

    let failed = bare(proxy::binary().unwrap()).args(["ui", "--socket", "/nowhere/admin.sock"]).output().unwrap();
    assert!(!failed.status.success() && String::from_utf8_lossy(&failed.stderr).contains("no keygress answers at `/nowhere/admin.sock`"));
    assert!(failed.stdout.is_empty(), "there is no link to what does not answer");
}

#[test]
fn the_page_says_so_when_keygress_is_gone() {
    let mut world = World::new();
    let page = Page::start(world.proxy.admin()).unwrap();
    let session = page.open().unwrap();
    world.proxy.stop();
    let heard = page.by(&session, "GET", "/api/overview", &Value::Null).unwrap();
    assert!(heard.status == 502 && heard.body.contains("no keygress answers"), "{heard:?}");
    // The order of a person who does not see that is not lost silently either.
    let heard = page.by(&session, "POST", "/api/revoke", &json!({ "credential": "key" })).unwrap();
    assert_eq!(heard.status, 502, "{heard:?}");
}
