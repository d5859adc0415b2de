//! What goes wrong outside gets a clear refusal; the process lives, and nothing leaks.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, Validity, canary};
use serde_json::Value;

use crate::world::{World, policy, rule};

/// The code of the refusal that curl gets for `/hello` of an upstream with this certificate.
fn refusal_for(site: &Site, echo: Echo) -> (String, World) {
    let key = canary().unwrap();
    let proxy = Proxy::start(site, &policy(site, &key, &rule(echo.port))).unwrap();
    let world = World { echo, key, proxy, site: Site::new().unwrap() };
    let (reply, _) = world.curl(&[&world.url("/hello")]);
    assert_eq!(reply.content_type, "application/problem+json", "{reply:?}");
    let problem: Value = serde_json::from_str(&reply.body).unwrap();
    (problem["code"].as_str().unwrap().to_owned(), world)
}

#[test]
fn nothing_is_sent_to_an_upstream_with_another_name() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "another.test").unwrap();
    let (code, world) = refusal_for(&site, echo);
    assert_eq!(code, "upstream_unverified");
    world.injected(0);
}

#[test]
fn nothing_is_sent_to_an_upstream_whose_certificate_expired() {
    let site = Site::new().unwrap();
    let echo = Echo::with_certificate(&site.certificate("echo.test", Validity::Expired).unwrap()).unwrap();
    let (code, world) = refusal_for(&site, echo);
    assert_eq!(code, "upstream_unverified");
    world.injected(0);
}

#[test]
fn nothing_is_sent_to_an_upstream_of_an_unknown_authority() {
    let (site, stranger) = (Site::new().unwrap(), Site::new().unwrap());
    let echo = Echo::start(&stranger, "echo.test").unwrap();
    let (code, world) = refusal_for(&site, echo);
    assert_eq!(code, "upstream_unverified");
    world.injected(0);
}

#[test]
fn an_upstream_that_is_down_is_named_so() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let key = canary().unwrap();
    let proxy = Proxy::start(&site, &policy(&site, &key, &rule(closed_port()))).unwrap();
    let world = World { echo, key, proxy, site };
    let url = format!("http://{}/echo.test/hello", world.proxy.address());
    let problem: Value = serde_json::from_str(&world.plain_curl(&[&url]).0.body).unwrap();
    assert_eq!(problem["code"], "unreachable");
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn a_private_address_without_allow_ips_is_refused() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let key = canary().unwrap();
    let open = rule(echo.port).replace("    allow_ips: [127.0.0.0/8]\n", "");
    let proxy = Proxy::start(&site, &policy(&site, &key, &open)).unwrap();
    let world = World { echo, key, proxy, site };
    let problem: Value = serde_json::from_str(&world.curl(&[&world.url("/hello")]).0.body).unwrap();
    assert_eq!(problem["code"], "address_refused");
    world.injected(0);
}

#[test]
fn an_issuer_that_fails_is_no_credential_and_no_leak() {
    for answer in [
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 26\r\n\r\n{\"error\":\"invalid_client\"}",
        "HTTP/1.1 500 Oops\r\ncontent-length: 5\r\n\r\noops!",
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 20\r\n\r\n<html>hello</html>\r\n",
        "",
    ] {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "echo.test").unwrap();
        let issuer = answering(answer);
        let secret = canary().unwrap();
        let file = site.write_secret("client-secret", &secret).unwrap();
        let source = format!(
            "oauth2_client_credentials: {{ token_url: \"http://127.0.0.1:{issuer}/token\", client_id: me, client_secret: {{ file: {} }} }}",
            file.display()
        );
        let policy = policy(&site, &secret, &rule(echo.port))
            .replace(&format!("file: {}", site.folder().join("key").display()), &source)
            .replace("    static: { reason: a test, expires: 2099-12-31 }\n", "");
        let proxy = Proxy::start(&site, &policy).unwrap();
        let world = World { echo, key: secret, proxy, site };
        let (reply, _) = world.curl(&[&world.url("/hello")]);
        let problem: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((reply.status, &problem["code"]), (503, &Value::from("no_credential")), "{answer}: {reply:?}");
        assert!(!reply.body.contains("oops") && !reply.body.contains("html") && !reply.body.contains(&world.key), "{reply:?}");
        world.injected(0);
    }
}

/// A server that gives every connection this answer.
fn answering(answer: &'static str) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            // A request fits into one read here; what was read does not matter.
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
    port
}

#[test]
fn garbage_is_refused_and_the_process_lives() {
    let world = World::new();
    let garbage: [&[u8]; 7] = [
        b"\x00\x01\x02\x03\xff\xfe\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"CONNECT echo.test:99999 HTTP/1.1\r\nHost: echo.test:99999\r\n\r\n",
        b"CONNECT user@echo.test:443 HTTP/1.1\r\nHost: echo.test\r\n\r\n",
        b"POST http://echo.test/ HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
    ];
    for bytes in garbage {
        let answer = raw(&world, bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{:?} got {answer}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    world.injected(1);
}

#[test]
fn what_follows_a_refused_connect_is_never_a_request() {
    let world = World::new();
    let smuggled =
        "CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\nGET /echo.test/hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = raw(&world, smuggled.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    world.injected(0);
}

/// Sends bytes to the proxy, and reads to the end of its answer.
fn raw(world: &World, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.proxy.address()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    stream.write_all(bytes).unwrap();
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
