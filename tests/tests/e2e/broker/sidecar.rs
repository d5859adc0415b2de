use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use keygress_tests::site::{Site, Validity};
use serde_json::{Value, json};

use super::{SIDECAR, Sidecar, World, files, problem};

fn used(lines: &[String]) -> Value {
    let line = lines.iter().find(|line| line.contains("\"activity\":\"used\"")).unwrap();
    serde_json::from_str(line).unwrap()
}

#[test]
fn the_key_stays_at_the_broker_which_knows_whose_request_it_is() {
    let world = World::usual();
    let sidecar = world.sidecar();
    for (path, arguments) in [("/hello", vec!["--http1.1"]), ("/hello", vec!["--http2"]), ("/mirror", vec!["--data", "abc"])] {
        let (reply, _) = sidecar.curl(path, &arguments);
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.body == "hello\n" || reply.body == "abc", "{reply:?}");
    }
    assert_eq!(sidecar.curl("/hello", &["--head"]).0.status, 200);
    world.injected(4);
    assert!(world.broker.records_once(|records| records.iter().filter(|record| record["activity"] == "used").count() == 4));
    assert!(sidecar.proxy.records_once(|records| records.iter().filter(|record| record["activity"] == "used").count() == 4));
    let (here, there) = (used(&sidecar.proxy.record_lines()), used(&world.broker.record_lines()));
    let (here, there) = (&here["keygress"], &there["keygress"]);
    assert_eq!((&here["workload"], &here["broker"], &here["credential"]), (&json!("agent"), &json!("edge"), &Value::Null));
    assert_eq!((&there["workload"], &there["peer"], &there["credential"]), (&json!("agent"), &json!(SIDECAR), &json!("key")));
    assert_eq!(there["way"], "mtls");
    assert!(here["trace"].is_string() && here["trace"] == there["trace"], "both sides name the request alike: {here} {there}");
    assert!(!sidecar.proxy.record_lines().concat().contains(&world.key));
    assert!(world.broker.metrics().contains("keygress_connections 1\n"), "one connection carries them all: {}", world.broker.metrics());
}

#[test]
fn the_broker_tells_tasks_apart() {
    let own = format!("  agent: {{ mtls: {{ spiffe_id: '{SIDECAR}' }}, task: {{ labels: {{ kind: ci }} }} }}");
    let world =
        World::new(&own, "agent", "    limit: { rate: 2/h, per: task }\n    attribute: { header: x-who, value: '{workload} {task}' }\n");
    let broker = world.reached_with(&world.svid(Validity::Current));
    let sidecar = Sidecar::with(broker, world.echo.port, "  agent: { task: { labels: { kind: ci } } }");
    for _ in 0..2 {
        let task = sidecar.proxy.begin_task(("kind", "ci"), &[]).unwrap();
        let proxy = format!("http://task:{}@{}", task.token, sidecar.proxy.address());
        let asked = ["--proxy", &proxy, "--header", "X-Who: admin", "--header", "X_Who: admin"];
        let statuses = [(); 3].map(|()| sidecar.curl("/hello", &asked).0.status);
        assert_eq!(statuses, [200, 200, 429]);
        let (line, name) = (world.broker.await_record(&task.id).unwrap(), format!("\"task\":\"{}@{SIDECAR}\"", task.id));
        assert!(line.contains(&name), "{line}");
        let seen = world.echo.seen();
        let last = seen.last().unwrap();
        assert_eq!(last.values("x-who"), [format!("agent {}@{SIDECAR}", task.id)]);
        assert!(last.values("x_who").is_empty());
    }
    world.injected(4);
}

#[test]
fn the_broker_decides_by_its_own_policy() {
    let world = World::usual();
    let sidecar = world.sidecar();
    let (reply, _) = sidecar.curl("/private", &[]);
    assert_eq!((reply.status, problem(&reply).0.as_str()), (403, "not_allowed"));
    let other = Sidecar::with(
        world.reached_with(&world.svid(Validity::Current)),
        world.echo.port,
        &format!("  agent: {{ process: {{ uid: {0} }} }}\n  other: {{ process: {{ uid: {0} }} }}", rustix::process::getuid().as_raw()),
    );
    assert_eq!(other.curl("/hello", &[]).0.status, 200, "of several names one is enough");
    let stranger = world.site.svid("spiffe://example.org/ns/shop/sa/other", Validity::Current).unwrap();
    let stranger = Sidecar::through(world.reached_with(&stranger), world.echo.port);
    let (reply, _) = stranger.curl("/hello", &[]);
    assert_eq!((reply.status, problem(&reply).0.as_str()), (403, "caller_not_allowed"));
    world.injected(1);
}

#[test]
fn what_an_application_says_of_itself_is_taken_off() {
    let world = World::usual();
    let sidecar = world.sidecar();
    let forged = [
        "Proxy-Authorization: Keygress eyJ4IjoxfQ.e30.x",
        "X-Forwarded-Client-Cert: URI=spiffe://example.org/admin",
        "Forwarded: for=admin",
    ];
    for header in forged {
        let (reply, _) = sidecar.curl("/hello", &["--header", header]);
        assert_eq!(reply.status, 200, "inside the tunnel it is a field like any other: {reply:?}");
    }
    world.injected(forged.len());
    let line = world.broker.await_record("\"activity\":\"used\"").unwrap();
    assert!(line.contains("\"workload\":\"agent\"") && !line.contains("admin"), "{line}");
    // To the proxy itself it is the token of a task that nobody began.
    let mut curl = sidecar.curl_command();
    curl.args(["--proxy-header", forged[0], "--output", "/dev/null", "--write-out", "%{http_connect}", &sidecar.url("/hello")]);
    let printed = curl.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&printed.stdout), "407");
}

#[test]
fn a_broker_that_cannot_be_used_is_named_with_the_reason() {
    let world = World::usual();
    let good = || world.reached_with(&world.svid(Validity::Current));
    let strangers = Site::new().unwrap();
    let elsewhere = |mut broker: keygress::config::Broker| {
        broker.files.ca = strangers.upstream_ca();
        broker
    };
    let named = |host: &str| keygress::config::Broker { host: keygress_policy::destination::Host::parse(host).unwrap(), ..good() };
    let unknown_id = keygress::config::Broker { spiffe_id: Some("spiffe://example.org/broker".into()), ..good() };
    let nobody = keygress::config::Broker { port: world.echo.port, ..good() };
    for (broker, why) in [
        (elsewhere(good()), "its certificate comes from an authority that is not trusted"),
        (named("other.test"), "its certificate is for another name"),
        (unknown_id, "its certificate is for another name"),
        (nobody, "is for another name"),
    ] {
        let (reply, _) = Sidecar::through(broker, world.echo.port).curl("/hello", &[]);
        let (code, detail) = problem(&reply);
        assert_eq!((reply.status, code.as_str()), (502, "broker_unavailable"), "{reply:?}");
        assert!(detail.starts_with("broker `edge`: ") && detail.contains(why), "{detail}");
    }
    assert!(world.echo.seen().is_empty());
}

#[test]
fn a_broker_that_goes_and_comes_back_is_used_again() {
    let mut world = World::usual();
    let sidecar = world.sidecar();
    assert_eq!(sidecar.curl("/hello", &[]).0.status, 200);
    world.broker.stop();
    let (reply, _) = sidecar.curl("/hello", &[]);
    assert_eq!((reply.status, problem(&reply).0.as_str()), (502, "broker_unavailable"));
    let line = sidecar.proxy.await_record("\"code\":\"broker_unavailable\"").unwrap();
    assert!(line.contains("\"broker\":\"edge\""), "{line}");
    world.injected(1);
}

#[test]
fn a_certificate_that_has_expired_is_told_to_the_application() {
    let world = World::usual();
    let sidecar = Sidecar::through(world.reached_with(&world.svid(Validity::Expired)), world.echo.port);
    for _ in 0..2 {
        let (reply, _) = sidecar.curl("/hello", &[]);
        assert_eq!((reply.status, problem(&reply)), (403, ("peer_refused".into(), "the client certificate has expired".into())));
    }
    assert!(world.broker.await_record("the client certificate has expired").is_some());
    assert!(world.echo.seen().is_empty());
}

#[test]
fn a_certificate_that_was_renewed_is_shown_from_then_on() {
    let world = World::usual();
    let expired = world.reached_with(&world.svid(Validity::Expired));
    let sidecar = Sidecar::through(expired, world.echo.port);
    assert_eq!(sidecar.curl("/hello", &[]).0.status, 403);
    files(&world.site, "sidecar", &world.svid(Validity::Current));
    let deadline = Instant::now() + Duration::from_secs(20);
    while sidecar.curl("/hello", &[]).0.status != 200 {
        assert!(Instant::now() < deadline, "the new certificate was not shown");
    }
    world.injected(1);
}

#[test]
fn a_stream_that_runs_ends_when_it_is_stopped_at_the_broker() {
    let world = World::usual();
    let sidecar = world.sidecar();
    let mut curl = sidecar.curl_command();
    let mut child = curl.args(["--no-buffer", &sidecar.url("/events")]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert_eq!(first, "data: first\n");
    let (status, _) = world.broker.control("POST", "/suspend", &json!({ "workload": "agent" })).unwrap();
    assert_eq!(status, 200);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(!child.wait().unwrap().success(), "a stream that was ended does not look whole: {rest}");
    let (reply, _) = sidecar.curl("/hello", &[]);
    assert_eq!((reply.status, problem(&reply).0.as_str()), (403, "suspended"));
}

#[test]
fn a_web_socket_passes_through_the_broker() {
    let world = World::usual();
    let sidecar = world.sidecar();
    let mut stream = TcpStream::connect(sidecar.proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!(
        "GET /echo.test:{}/ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        world.echo.port
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    world.injected(1);
}
