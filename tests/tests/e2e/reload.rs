//! The policy is replaced while it is used: the next request sees the newest, a broken one changes nothing.

use keygress_tests::client::Kept;

use crate::world::{World, policy, rule};

#[test]
fn a_change_of_the_file_is_in_force_without_a_restart() {
    let world = World::new();
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    let narrower = rule(world.echo.port).replace("GET /hello, GET /hello/**, ", "");
    world.proxy.rewrite(&policy(&world.site, &world.key, &narrower)).unwrap();
    world.curl(&[&world.url("/hello")]).0.is_denied().unwrap();
    world.injected(1);
}

#[test]
fn one_connection_sees_the_new_policy_with_its_next_request() {
    let world = World::new();
    let wider = rule(world.echo.port);
    let narrower = wider.replace("GET /hello, GET /hello/**, ", "");
    // One curl, one connection: the first URL is answered under the old policy, the second is held back by `/events` until the new one is in force.
    let mut curl = world.curl_command();
    curl.args(["--write-out", "%{http_code} ", "--output", "/dev/null", "--http1.1", &world.url("/events")]);
    let running = curl.args(["--output", "/dev/null", &world.url("/hello")]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    // The stream is open once the upstream has seen it.
    while world.echo.seen().is_empty() {
        std::thread::yield_now();
    }
    world.proxy.reload(&policy(&world.site, &world.key, &narrower)).unwrap();
    assert_eq!(world.plain_curl(&["--data", "", &format!("http://{}/echo.test/next", world.proxy.address())]).0.status, 200);
    let printed = running.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&printed.stdout), "200 403 ");
    world.injected(2);
}

#[test]
fn a_rule_that_dials_as_before_keeps_its_connections_and_another_does_not() {
    let world = World::new();
    let kept = Kept::open(world.proxy.address(), "echo.test");
    assert_eq!(kept.get("/hello"), 200);
    assert_eq!(world.echo.connections(), 1);
    let wider = rule(world.echo.port).replace("GET /hello,", "GET /hello, GET /other,");
    for _ in 0..3 {
        world.proxy.reload(&policy(&world.site, &world.key, &wider)).unwrap();
        assert_eq!((kept.get("/hello"), kept.get("/other")), (200, 200));
    }
    assert_eq!(world.echo.connections(), 1, "what the rule allows is no matter of the connection");
    let elsewhere = wider.replace("127.0.0.0/8", "127.0.0.0/9");
    world.proxy.reload(&policy(&world.site, &world.key, &elsewhere)).unwrap();
    assert_eq!(kept.get("/hello"), 200);
    assert_eq!(world.echo.connections(), 2, "where it may dial is one");
}

#[test]
fn a_broken_policy_leaves_the_last_good_one() {
    let world = World::new();
    assert!(world.proxy.reload("version: 1\nrules: { broken").is_err());
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    let lines = world.proxy.record_lines();
    assert!(lines.iter().any(|line| line.contains("policy_rejected")), "{lines:?}");
    assert!(world.proxy.metrics().contains("keygress_policy_last_load_failed 1"));
}
