//! Abnormal reuse is an alert, on record and counted, and what only looks alike is none.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use keygress::config::Detect;
use keygress_tests::client::bare;
use keygress_tests::proxy::{Held, Proxy};
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;
use serde_json::Value;

use crate::world::{World, policy, rule};

/// A world with a second destination, at which nothing is put on, and baselines that settle at once.
fn world() -> (World, Echo) {
    let site = Site::new().unwrap();
    let (echo, other) = (Echo::start(&site, "echo.test").unwrap(), Echo::start(&site, "other.test").unwrap());
    let key = canary().unwrap();
    let rules = format!(
        "{}  other:
    from: any
    to: https://other.test:{}
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello]
",
        rule(echo.port),
        other.port
    );
    let text = policy(&site, &key, &rules);
    let proxy =
        Proxy::start_with(&site, &text, |settings| settings.detect = Some(Detect { settle: Duration::ZERO, ..Detect::default() })).unwrap();
    (World { echo, key, proxy, site }, other)
}

/// curl by this task, with these headers.
fn by(world: &World, task: &Held, url: &str, headers: &[&str]) -> Command {
    let mut curl = bare(tools::program("curl").unwrap());
    curl.args(["--silent", "--insecure", "--max-time", "60", "--output", "/dev/null", "--proxy"]);
    curl.arg(format!("http://task:{}@{}", task.token, world.proxy.address()));
    curl.args(headers.iter().flat_map(|header| ["--header", header])).arg(url);
    curl
}

fn run(mut curl: Command) {
    let output = curl.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The alerts of a proxy that was stopped: all that it had to say is on record then.
fn alerts(world: &mut World) -> Vec<Value> {
    world.proxy.stop();
    world.proxy.records().unwrap().into_iter().filter(|record| record["activity"] == "alert").collect()
}

fn codes(alerts: &[Value]) -> Vec<&str> {
    alerts.iter().map(|alert| alert["keygress"]["code"].as_str().unwrap()).collect()
}

fn counted(world: &World, detector: &str) -> bool {
    world.proxy.metrics().contains(&format!("keygress_alerts_total{{detector=\"{detector}\"}} 1\n"))
}

#[test]
fn a_placeholder_at_the_wrong_destination_is_an_alert() {
    let (mut world, other) = world();
    let task = world.proxy.begin_task(("kind", "test"), &["key"]).unwrap();
    let placeholder = task.placeholders["key"].clone();
    let header = format!("Authorization: Bearer {placeholder}");
    // Where it belongs, also in vain.
    run(by(&world, &task, &world.url("/hello"), &[&header]));
    run(by(&world, &task, &world.url("/hello/but/not/this"), &[&header]));
    run(by(&world, &task, &format!("https://other.test:{}/hello", other.port), &[&header.replace(&placeholder[..9], "something")]));
    run(by(&world, &task, &format!("https://other.test:{}/hello", other.port), &[&header]));
    let alerts = alerts(&mut world);
    assert_eq!(codes(&alerts), ["misplaced"], "{alerts:#?}");
    let ours = &alerts[0]["keygress"];
    assert_eq!(ours["expected"], "the placeholder for `key` to go where that credential may go");
    let seen = format!("task `{}` sent it to `https://other.test:{}`", task.id, other.port);
    assert_eq!((ours["seen"].as_str(), ours["task"].as_str()), (Some(seen.as_str()), Some(task.id.as_str())));
    assert!(counted(&world, "misplaced") && !world.proxy.record_lines().join("\n").contains(&placeholder));
}

#[test]
fn a_task_token_or_placeholder_in_other_hands_is_an_alert() {
    let (mut world, _other) = world();
    let (one, two) = (world.proxy.begin_task(("kind", "a"), &["key"]).unwrap(), world.proxy.begin_task(("kind", "b"), &["key"]).unwrap());
    let hello = world.url("/hello");
    run(by(&world, &two, &hello, &[&format!("X-Api-Key: {}", two.placeholders["key"])]));
    run(by(&world, &two, &hello, &[&format!("X-Api-Key: {}", one.placeholders["key"])]));
    run(by(&world, &two, &format!("{hello}?state={}", two.token), &[]));
    let alerts = alerts(&mut world);
    assert_eq!(codes(&alerts), ["misplaced", "misplaced"], "{alerts:#?}");
    assert!(alerts[0]["message"].as_str().unwrap().contains(&format!("task `{}` alone to hold its placeholder", one.id)));
    assert!(alerts[1]["message"].as_str().unwrap().contains("the token of task"));
    assert!(!world.proxy.record_lines().join("\n").contains(&two.token));
}

#[test]
fn the_value_of_a_credential_from_an_application_is_an_alert() {
    let (mut world, other) = world();
    let curl = |world: &World, url: &str, key: &str| {
        let mut curl = world.proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--max-time", "60", "--output", "/dev/null", "--header", &format!("Authorization: Bearer {key}")]).arg(url);
        run(curl);
    };
    let alike: String = world.key.chars().rev().collect();
    curl(&world, &world.url("/hello"), &alike);
    curl(&world, &format!("https://other.test:{}/hello", other.port), &world.key);
    // In the path it must not get on record.
    curl(&world, &world.url(&format!("/hello/{}", world.key)), &alike);
    let alerts = alerts(&mut world);
    assert_eq!(codes(&alerts), ["real_value", "real_value"], "{alerts:#?}");
    let records = world.proxy.records().unwrap();
    let used = records.iter().find(|record| record["activity"] == "used").unwrap();
    let fingerprint = used["keygress"]["fingerprint"].as_str().unwrap();
    assert!(alerts[0]["message"].as_str().unwrap().contains(fingerprint) && alerts[0]["keygress"]["credential"] == "key", "{alerts:#?}");
    assert!(world.proxy.metrics().contains("keygress_alerts_total{detector=\"real_value\"} 2\n"));
    assert!(!world.proxy.record_lines().join("\n").contains(&world.key));
}

#[test]
fn the_first_use_of_its_kind_is_an_alert_once_a_credential_has_settled() {
    let (mut world, _other) = world();
    let many = format!("{}/[1-101]", world.url("/hello"));
    let curl = |arguments: &[&str]| {
        let mut curl = world.proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--max-time", "60", "--output", "/dev/null"]).args(arguments);
        run(curl);
    };
    curl(&[&many]);
    curl(&[&world.url("/hello/7777")]);
    curl(&["--data", "x", &world.url("/next")]);
    let alerts = alerts(&mut world);
    assert_eq!(codes(&alerts), ["first_use"], "{alerts:#?}");
    let ours = &alerts[0]["keygress"];
    assert_eq!(ours["expected"], "`key` with method `GET`, path class `/hello/{}`");
    assert_eq!(ours["seen"], "its first use with method `POST`, path class `/next`");
    assert!(ours["events"].as_u64().unwrap() >= 102 && ours["since"].is_i64(), "{ours}");
}

#[test]
fn many_denials_of_many_things_are_an_alert_and_of_one_thing_are_none() {
    let (mut world, _other) = world();
    let curl = |paths: &str| {
        let mut curl = world.proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--max-time", "60", "--output", "/dev/null", &world.url(paths)]);
        run(curl);
    };
    curl("/forbidden?page=[1-30]");
    curl("/status/[400-420]");
    curl("/secrets/[1-20]");
    let alerts = alerts(&mut world);
    assert_eq!(codes(&alerts), ["probing"], "{alerts:#?}");
}

#[test]
fn one_token_from_two_users_is_an_alert() {
    let (mut world, _other) = world();
    let task = world.proxy.begin_task(("kind", "test"), &[]).unwrap();
    let hello = world.url("/hello");
    run(by(&world, &task, &hello, &[]));
    run(by(&world, &task, &hello, &[]));
    let mut another = by(&world, &task, &hello, &[]);
    another.uid(65_534).gid(65_534).current_dir("/");
    run(another);
    let alerts = alerts(&mut world);
    assert_eq!(codes(&alerts), ["token_shared"], "{alerts:#?}");
    assert!(alerts[0]["message"].as_str().unwrap().contains("from user id 65534"), "{alerts:#?}");
}

#[test]
fn a_task_that_has_ended_is_named_where_its_token_is_shown() {
    let (mut world, _other) = world();
    let task = world.proxy.begin_task(("kind", "test"), &[]).unwrap();
    world.proxy.end_task(&task).unwrap();
    assert!(!by(&world, &task, &world.url("/hello"), &[]).output().unwrap().status.success());
    world.proxy.stop();
    let records = world.proxy.records().unwrap();
    let denied = records.iter().find(|record| record["activity"] == "denied").unwrap();
    assert_eq!(
        (denied["keygress"]["code"].as_str(), denied["keygress"]["task"].as_str()),
        (Some("caller_unproven"), Some(task.id.as_str()))
    );
}

#[test]
fn where_nobody_looks_there_is_no_alert() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let key = canary().unwrap();
    let text = policy(&site, &key, &rule(echo.port));
    let proxy = Proxy::start_with(&site, &text, |settings| settings.detect = None).unwrap();
    let mut world = World { echo, key, proxy, site };
    let header = format!("Authorization: Bearer {}", world.key);
    let mut curl = world.proxy.client(tools::program("curl").unwrap());
    curl.args(["--silent", "--max-time", "60", "--output", "/dev/null", "--header", &header, &world.url("/hello")]);
    run(curl);
    world.injected(1);
    assert!(alerts(&mut world).is_empty());
}
