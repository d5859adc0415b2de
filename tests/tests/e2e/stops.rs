//! The kill switch: new requests are refused at once, running ones end, the issuer is told, and all of it is on record.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use serde_json::{Value, json};

use crate::issuer;
use crate::world::{World, policy, rule};

/// How long a running request may take to end: 1 s is promised; the rest is for a machine that builds beside it.
const END_TIME_MAX: Duration = Duration::from_secs(30);

fn control(proxy: &Proxy, path: &str, body: &Value) -> Value {
    let (status, answer) = proxy.control("POST", path, body).unwrap();
    assert_eq!(status, 200, "{answer}");
    answer
}

fn code(body: &str) -> String {
    serde_json::from_str::<Value>(body).unwrap()["code"].as_str().unwrap().to_owned()
}

/// A stream of events that is open: its first event has come.
fn stream(world: &World, version: &str) -> (Child, BufReader<ChildStdout>) {
    let mut curl = world.curl_command();
    curl.args(["--no-buffer", version, &world.url("/events")]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = curl.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "data: first\n");
    (child, lines)
}

/// Waits until a stream has ended by no doing of its upstream, and returns how long that took.
fn broken_off((mut child, mut lines): (Child, BufReader<ChildStdout>)) -> Duration {
    let begun = Instant::now();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "\n", "nothing came after the first event");
    assert!(!child.wait().unwrap().success(), "a stream that was ended does not look whole");
    begun.elapsed()
}

#[test]
fn what_is_suspended_is_refused_until_it_is_resumed() {
    let world = World::new();
    let hello = world.url("/hello");
    assert_eq!(world.curl(&[&hello]).0.status, 200);
    let names = [("credential", "key"), ("owner", "tests@example.com"), ("host", "echo.test"), ("host", "*.test")];
    for (subject, name) in names {
        let answer = control(&world.proxy, "/suspend", &json!({ subject: name, "reason": "leaked" }));
        assert_eq!((answer["known"].as_bool(), answer["by"].as_str().is_some()), (Some(true), true), "{answer}");
        let (reply, _) = world.curl(&[&hello]);
        reply.is_denied().unwrap();
        assert_eq!(code(&reply.body), "suspended");
        assert!(reply.body.contains(&format!("{subject} `{name}` was suspended at ")) && reply.body.contains("leaked"), "{}", reply.body);
        control(&world.proxy, "/resume", &json!({ subject: name }));
        assert_eq!(world.curl(&[&hello]).0.status, 200);
    }
    world.injected(1 + names.len());
    let lines = world.proxy.record_lines().join("\n");
    let count = |activity: &str| lines.matches(&format!("\"activity\":\"{activity}\"")).count();
    assert_eq!((count("stopped"), count("resumed"), count("denied")), (names.len(), names.len(), names.len()), "{lines}");
}

#[test]
fn another_credential_host_or_owner_is_not_touched() {
    let world = World::new();
    for (subject, name) in [("credential", "other"), ("owner", "tests"), ("host", "test"), ("workload", "echo"), ("task", "key")] {
        assert_eq!(control(&world.proxy, "/suspend", &json!({ subject: name }))["known"], false);
    }
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    let (_, stops) = world.proxy.control("GET", "/stops", &json!({})).unwrap();
    assert_eq!(stops["stops"].as_array().unwrap().len(), 5);
}

#[test]
fn running_streams_end() {
    let world = World::new();
    for version in ["--http1.1", "--http2"] {
        let running = stream(&world, version);
        control(&world.proxy, "/suspend", &json!({ "credential": "key" }));
        assert!(broken_off(running) < END_TIME_MAX);
        control(&world.proxy, "/resume", &json!({ "credential": "key" }));
    }
    let record = world.proxy.await_record("\"activity\":\"ended\"").unwrap();
    assert!(record.contains("\"code\":\"suspended\"") && record.contains("\"credential\":\"key\""), "{record}");
}

#[test]
fn a_request_whose_answer_is_still_awaited_is_refused() {
    let world = World::new();
    let mut curl = world.curl_command();
    let waiting = curl.arg(world.url("/hello/never")).stdout(Stdio::piped()).spawn().unwrap();
    while world.echo.seen().is_empty() {
        std::thread::yield_now();
    }
    control(&world.proxy, "/suspend", &json!({ "host": "echo.test" }));
    let printed = waiting.wait_with_output().unwrap();
    assert_eq!(code(&String::from_utf8_lossy(&printed.stdout)), "suspended");
    // It may have left with the credential: that is on record too.
    let record = world.proxy.await_record("\"activity\":\"used\"").unwrap();
    assert!(record.contains("\"code\":\"suspended\""), "{record}");
}

/// Reads the head of a response and leaves the stream open.
fn opened(proxy: &Proxy, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(END_TIME_MAX)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101") || head.starts_with("HTTP/1.1 200"), "{head}");
    stream
}

/// Whether the other side ends the stream: in time, with nothing more on it.
fn ends(mut stream: TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_web_socket_ends() {
    let world = World::new();
    let request = "GET /echo.test/ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let socket = opened(&world.proxy, request);
    control(&world.proxy, "/revoke", &json!({ "credential": "key" }));
    assert!(ends(socket));
}

#[test]
fn a_blind_tunnel_ends() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let (port, key) = (echo.port, canary().unwrap());
    let blind = format!("{}  blind: {{ from: any, to: 'https://blind.test:{port}', allow_ips: [127.0.0.0/8] }}\n", rule(port));
    let proxy = Proxy::start(&site, &policy(&site, &key, &blind)).unwrap();
    let connect = format!("CONNECT blind.test:{port} HTTP/1.1\r\nHost: blind.test:{port}\r\n\r\n");
    let tunnel = opened(&proxy, &connect);
    control(&proxy, "/suspend", &json!({ "host": "blind.test" }));
    assert!(ends(tunnel));
    let mut refused = TcpStream::connect(proxy.address()).unwrap();
    refused.write_all(connect.as_bytes()).unwrap();
    let mut answer = String::new();
    refused.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("x-keygress-refusal: suspended"), "{answer}");
}

#[test]
fn a_stream_ends_when_its_rule_leaves_the_policy_and_others_go_on() {
    let world = World::new();
    let running = stream(&world, "--http1.1");
    let renamed = rule(world.echo.port).replace("  echo:\n", "  renamed:\n");
    world.proxy.reload(&policy(&world.site, &world.key, &renamed)).unwrap();
    assert!(broken_off(running) < END_TIME_MAX);

    let (mut child, mut lines) = stream(&world, "--http1.1");
    let narrower = renamed.replace("GET /hello, ", "");
    world.proxy.reload(&policy(&world.site, &world.key, &narrower)).unwrap();
    assert_eq!(world.curl(&["--data", "", &world.url("/next")]).0.status, 200);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: second") && child.wait().unwrap().success(), "{rest}");
}

#[test]
fn a_revocation_is_told_to_the_issuer_before_it_is_answered() {
    let world = issuer::World::new("basic");
    assert_eq!(world.get("/hello"), 200);
    let (_, leases) = world.proxy.control("GET", "/leases", &json!({})).unwrap();
    let lease = &leases["leases"][0];
    assert_eq!(
        (lease["credential"].as_str(), lease["rule"].as_str(), lease["revocable"].as_bool()),
        (Some("minted"), Some("echo"), Some(true))
    );

    let answer = control(&world.proxy, "/revoke", &json!({ "credential": "minted" }));
    assert_eq!(answer["leases"], json!({ "revoked": 1, "dropped": 0, "failed": 0 }));
    assert!(!world.issuer.is_active(&world.site, &world.tokens()[0]).unwrap());
    let refused = world.reply("/hello");
    assert_eq!((refused.status, code(&refused.body).as_str()), (403, "revoked"));
    assert_eq!(world.issuer.issued(), 1, "nothing is minted for what is revoked");

    control(&world.proxy, "/resume", &json!({ "credential": "minted" }));
    assert_eq!(world.get("/hello"), 200);
    let tokens = world.tokens();
    assert_eq!(tokens.len(), 2);
    assert_ne!(tokens[0], tokens[1], "what was revoked is not used again");
    assert!(!leases.to_string().contains(&tokens[0]), "{leases}");
}
