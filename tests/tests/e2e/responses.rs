//! What follows an alert: what the policy says, and the webhook.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use keygress::config::{Detect, Hook, Settings};
use keygress::state::Place;
use keygress_tests::client::{bare, output};
use keygress_tests::proxy::{Held, Proxy, binary};
use keygress_tests::servers::echo::Echo;
use keygress_tests::servers::scripted::Scripted;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;
use serde_json::{Value, json};

use crate::world::{World, policy, rule};

const SECRET: &str = "a-secret-of-the-webhook";

/// A world whose policy has these responses, with settings that are changed.
fn world(site: Site, responses: &str, change: impl FnOnce(&mut Settings)) -> World {
    let echo = Echo::start(&site, "echo.test").unwrap();
    let key = canary().unwrap();
    let text = format!("{}responses: {responses}\n", policy(&site, &key, &rule(echo.port)));
    let proxy = Proxy::start_with(&site, &text, change).unwrap();
    World { echo, key, proxy, site }
}

/// The code of a refusal, or the status.
fn by(world: &World, task: &Held, paths: &str) -> Command {
    let mut curl = bare(tools::program("curl").unwrap());
    curl.args(["--silent", "--insecure", "--max-time", "60", "--write-out", "%{http_code}\n", "--output", "/dev/null", "--proxy"]);
    curl.arg(format!("http://task:{}@{}", task.token, world.proxy.address())).arg(world.url(paths));
    curl
}

/// Sends the value of the credential itself.
fn leak(world: &World) -> String {
    let mut curl = world.proxy.client(tools::program("curl").unwrap());
    curl.args(["--silent", "--max-time", "60", "--header", &format!("Authorization: Bearer {}", world.key), &world.url("/hello")]);
    output(&mut curl).unwrap()
}

/// What Python's own HMAC says of a delivery: head and body as they came.
fn is_signed(delivery: &str, secret: &str) -> bool {
    let script = "
import hashlib, hmac, sys
secret, delivery = sys.argv[1].encode(), sys.stdin.buffer.read()
head, body = delivery.split(b'\\r\\n\\r\\n', 1)
lines = dict(line.split(b': ', 1) for line in head.split(b'\\r\\n')[1:])
parts = dict(part.split(b'=', 1) for part in lines[b'keygress-signature'].split(b','))
expected = hmac.new(secret, parts[b't'] + b'.' + body, hashlib.sha256).hexdigest().encode()
print(hmac.compare_digest(expected, parts[b'v1']))
";
    let mut python = bare(tools::program("python3").unwrap());
    let mut child = python.args(["-c", script, secret]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(delivery.as_bytes()).unwrap();
    let printed = child.wait_with_output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    String::from_utf8_lossy(&printed.stdout).trim() == "True"
}

#[test]
fn an_alert_is_told_to_the_webhook_signed_until_it_is_taken() {
    let site = Site::new().unwrap();
    let (sender, deliveries) = channel();
    let tries = AtomicUsize::new(0);
    let receiver = Scripted::start(&site, "localhost", move |delivery| {
        // The first time it is busy.
        let status = if tries.fetch_add(1, Ordering::Relaxed) == 0 { "503 Busy" } else { "204 Taken" };
        let _ = sender.send(delivery.to_owned());
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
    })
    .unwrap();
    let hook = Hook { url: format!("https://localhost:{}/alerts", receiver.port), secret: site.write_secret("hook", SECRET).unwrap() };
    let mut world = world(site, "{ real_value: alert }", |settings| {
        settings.detect = Some(Detect { webhook: Some(hook), ..Detect::default() });
    });
    // A value is known from its first use on.
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    assert_eq!(leak(&world), "hello\n");
    let [first, second] = [(); 2].map(|()| deliveries.recv_timeout(Duration::from_secs(60)).unwrap());
    world.proxy.stop();
    for delivery in [&first, &second] {
        assert!(delivery.starts_with("POST /alerts HTTP/1.1\r\n") && !delivery.contains(&world.key), "{delivery}");
        assert!(is_signed(delivery, SECRET) && !is_signed(delivery, "another secret of it"), "{delivery}");
        assert!(!is_signed(&delivery.replace("real_value", "real-value"), SECRET));
    }
    let body = |delivery: &str| serde_json::from_str::<Value>(delivery.split_once("\r\n\r\n").unwrap().1).unwrap();
    let told = body(&first);
    assert_eq!(told["id"], body(&second)["id"], "it is told again, not anew");
    assert_eq!((told["detector"].as_str(), told["response"].as_str()), (Some("real_value"), Some("alert")));
    assert_eq!((told["credential"].as_str(), told["path"].as_str()), (Some("key"), Some("/hello")));
    assert!(told["message"].as_str().unwrap().contains("held by no application"), "{told}");
    assert!(world.proxy.metrics().contains("keygress_alert_webhooks_total{result=\"ok\"} 1\n"), "{}", world.proxy.metrics());
}

#[test]
fn a_webhook_that_cannot_be_told_anything_is_refused_at_the_start() {
    let refused = |url: &str, secret: &str, because: &str| {
        let site = Site::new().unwrap();
        let text = policy(&site, "a-key-of-a-test", &rule(443));
        let hook = Hook { url: url.to_owned(), secret: site.write_secret("hook", secret).unwrap() };
        let change = |settings: &mut Settings| settings.detect = Some(Detect { webhook: Some(hook), ..Detect::default() });
        let why = format!("{:#}", Proxy::start_with(&site, &text, change).err().unwrap());
        assert!(why.contains(because), "{why}");
    };
    refused("http://alerts.example.com/", SECRET, "is not `https`");
    refused("https://localhost/", "short", "is shorter than 16 bytes");
}

#[test]
fn a_credential_whose_value_is_out_is_revoked_where_the_policy_says_so() {
    let world = world(Site::new().unwrap(), "{ real_value: revoke }", |_| {});
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    leak(&world);
    let stopped: Value = serde_json::from_str(&world.proxy.await_record("\"activity\":\"stopped\"").unwrap()).unwrap();
    assert_eq!((stopped["keygress"]["credential"].as_str(), stopped["keygress"]["code"].as_str()), (Some("key"), Some("revoked")));
    let (reply, _) = world.curl(&[&world.url("/hello")]);
    reply.is_denied().unwrap();
    assert!(reply.body.contains("was revoked at") && reply.body.contains("by alert `real_value`"), "{}", reply.body);
    let (status, _) = world.proxy.control("POST", "/resume", &json!({ "credential": "key" })).unwrap();
    assert_eq!((status, world.curl(&[&world.url("/hello")]).0.status), (200, 200));
}

#[test]
fn a_task_whose_token_is_shared_is_suspended_and_another_is_not() {
    let world = world(Site::new().unwrap(), "{ token_shared: suspend }", |_| {});
    let [task, beside] = [(); 2].map(|()| world.proxy.begin_task(("kind", "test"), &[]).unwrap());
    assert_eq!(output(&mut by(&world, &task, "/hello")).unwrap(), "200\n");
    let mut another = by(&world, &task, "/hello");
    output(another.uid(65_534).gid(65_534).current_dir("/")).unwrap();
    let stopped: Value = serde_json::from_str(&world.proxy.await_record("\"activity\":\"stopped\"").unwrap()).unwrap();
    assert_eq!((stopped["keygress"]["task"].as_str(), stopped["keygress"]["code"].as_str()), (Some(task.id.as_str()), Some("suspended")));
    assert_eq!(output(&mut by(&world, &task, "/hello")).unwrap(), "403\n");
    assert_eq!(output(&mut by(&world, &beside, "/hello")).unwrap(), "200\n");
}

#[test]
fn who_probes_is_throttled_and_another_is_not() {
    let world = world(Site::new().unwrap(), "{ probing: throttle }", |_| {});
    let [task, beside] = [(); 2].map(|()| world.proxy.begin_task(("kind", "test"), &[]).unwrap());
    assert!(!output(&mut by(&world, &task, "/hello/[1-40]")).unwrap().contains("429"));
    output(&mut by(&world, &task, "/secrets/[1-20]")).unwrap();
    let throttled: Value = serde_json::from_str(&world.proxy.await_record("\"code\":\"throttled\"").unwrap()).unwrap();
    assert_eq!((throttled["activity"].as_str(), throttled["keygress"]["task"].as_str()), (Some("stopped"), Some(task.id.as_str())));
    let statuses = output(&mut by(&world, &task, "/hello/[1-200]")).unwrap();
    assert!(statuses.contains("429\n") && statuses.contains("200\n"), "{statuses}");
    assert!(!output(&mut by(&world, &beside, "/hello/[1-40]")).unwrap().contains("429"));
}

#[test]
fn what_is_usual_survives_a_restart_and_can_be_forgotten() {
    let site = Site::new().unwrap();
    let key = site.write_secret("state-key", "0123456789abcdef0123456789abcdef").unwrap();
    let place = Place { folder: site.folder().join("state"), key, run: None };
    let settled = |settings: &mut Settings| {
        settings.state = Some(place.clone());
        settings.detect = Some(Detect { settle: Duration::ZERO, ..Detect::default() });
    };
    let mut world = world(site, "{ first_use: alert }", settled);
    let curl = |world: &World, arguments: &[&str]| {
        let mut curl = world.proxy.client(tools::program("curl").unwrap());
        output(curl.args(["--silent", "--max-time", "60"]).args(arguments)).unwrap();
    };
    curl(&world, &[&format!("{}/[1-101]", world.url("/hello"))]);
    world.proxy.stop();
    let kept = std::fs::read_to_string(place.folder.join("baselines")).unwrap();
    assert!(!kept.is_empty() && !kept.contains("hello"), "it lies encrypted");

    let text = policy(&world.site, &world.key, &rule(world.echo.port));
    world.proxy = Proxy::start_with(&world.site, &text, settled).unwrap();
    let listed = |world: &World| world.proxy.control("GET", "/baselines", &json!({})).unwrap().1["baselines"].clone();
    assert_eq!((listed(&world)[0]["credential"].as_str(), listed(&world)[0]["uses"].as_u64()), (Some("key"), Some(101)));
    curl(&world, &["--data", "x", &world.url("/next")]);
    assert!(world.proxy.await_record("\"code\":\"first_use\"").is_some());

    let command = |arguments: &[&str]| {
        let mut command = bare(binary().unwrap());
        output(command.arg("baselines").args(arguments).arg("--admin-socket").arg(world.proxy.admin())).unwrap()
    };
    assert!(command(&["list"]).contains("/hello/{}"));
    assert_eq!(command(&["reset", "--credential", "another"]), "forgotten: what was usual of 0 credentials\n");
    assert_eq!(command(&["reset", "--credential", "key"]), "forgotten: what was usual of 1 credential\n");
    assert_eq!(command(&["list"]), "no credential was used yet\n");
    assert!(world.proxy.await_record("what was usual of `key` was forgotten by uid").is_some());
    curl(&world, &["--data", "x", &world.url("/upload")]);
    world.proxy.stop();
    let lines = world.proxy.record_lines().join("\n");
    assert_eq!(lines.matches("\"code\":\"first_use\"").count(), 1, "it is learned anew: {lines}");
}
