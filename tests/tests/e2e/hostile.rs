//! An upstream, or a caller, that means harm: what it sends must leave no gap in the record, open no tunnel and desynchronise nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use keygress_tests::proxy::Proxy;
use keygress_tests::site::{Site, Validity, canary};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::world::{self, World};

/// An HTTP/1.1 upstream that answers every request with these bytes, and sends on what it read: head and body.
struct Scripted {
    proxy: Proxy,
    port: u16,
    seen: Receiver<String>,
    _site: Site,
}

impl Scripted {
    fn new(answer: &'static str) -> Self {
        let site = Site::new().unwrap();
        let certificate = site.certificate("echo.test", Validity::Current).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, seen) = channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (config, sender) = (config.clone(), sender.clone());
                std::thread::spawn(move || {
                    let mut tls = rustls::StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), stream);
                    loop {
                        let mut read = Vec::new();
                        let mut some = [0_u8; 4096];
                        while !is_whole(&read) {
                            match tls.read(&mut some) {
                                Ok(0) | Err(_) => return,
                                Ok(count) => read.extend_from_slice(&some[..count]),
                            }
                        }
                        if sender.send(String::from_utf8_lossy(&read).into_owned()).is_err() {
                            return;
                        }
                        if tls.write_all(answer.as_bytes()).and_then(|()| tls.flush()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let key = canary().unwrap();
        let rule = format!(
            "  echo:\n    from: any\n    to: https://echo.test:{port}\n    allow_ips: [127.0.0.0/8]\n    \
             allow: [GET /**, POST /**]\n    credential: key\n"
        );
        let proxy = Proxy::start(&site, &world::policy(&site, &key, &rule)).unwrap();
        Self { proxy, port, seen, _site: site }
    }

    fn send(&self, text: &str) -> TcpStream {
        send(&self.proxy, &text.replace("{}", &format!("echo.test:{}", self.port)))
    }
}

fn send(proxy: &Proxy, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether a request is there with all of its body, which is chunked where there is one.
fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read);
    match text.split_once("\r\n\r\n") {
        None => false,
        Some((head, body)) => !head.to_ascii_lowercase().contains("transfer-encoding: chunked") || body.ends_with("0\r\n\r\n"),
    }
}

#[test]
fn a_caller_that_breaks_off_leaves_its_record_all_the_same() {
    let world = World::new();
    let stream =
        send(&world.proxy, &format!("GET https://echo.test:{0}/hello/never HTTP/1.1\r\nHost: echo.test:{0}\r\n\r\n", world.echo.port));
    assert!(world.echo.await_target("/hello/never"), "the request did not arrive");
    drop(stream);
    let record = world.proxy.await_record("/hello/never").expect("a credential left and nothing says so");
    assert!(record.contains("broken_off"), "{record}");
    let lines = world.proxy.record_lines();
    assert_eq!(lines.iter().filter(|line| line.contains("/hello/never")).count(), 1, "{lines:#?}");
}

#[test]
fn a_101_that_nobody_asked_for_is_a_failure() {
    let upstream = Scripted::new("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nraw");
    let answer = rest(upstream.send("GET https://{}/x HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[test]
fn a_body_that_get_brings_arrives() {
    let upstream = Scripted::new("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let answer = rest(upstream.send(
        "GET https://{}/search HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = upstream.seen.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(seen.contains("hello"), "{seen}");
}

#[test]
fn a_304_with_the_length_of_what_it_does_not_send_is_passed() {
    let upstream = Scripted::new("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nETag: x\r\n\r\n");
    let answer = rest(
        upstream.send("GET https://{}/a HTTP/1.1\r\nHost: {}\r\n\r\nGET https://{}/b HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n"),
    );
    assert_eq!(answer.matches("HTTP/1.1 304 ").count(), 2, "{answer}");
}

#[test]
fn a_target_without_a_path_is_sent_as_it_was_matched() {
    let world = World::new();
    let rules = world::rule(world.echo.port).replace("GET /hello,", "GET /, GET /hello,");
    world.proxy.reload(&world::policy(&world.site, &world.key, &rules)).unwrap();
    for target in ["?x=1", ""] {
        let text =
            format!("GET https://echo.test:{0}{target} HTTP/1.1\r\nHost: echo.test:{0}\r\nConnection: close\r\n\r\n", world.echo.port);
        let answer = rest(send(&world.proxy, &text));
        assert!(answer.starts_with("HTTP/1.1 "), "{target:?}: {answer}");
    }
    for seen in world.echo.seen() {
        assert!(seen.target.starts_with('/'), "{:?}", seen.target);
    }
}

#[test]
fn overrides_are_stripped_in_every_spelling() {
    let upstream = Scripted::new("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rest(upstream.send("POST https://{}/x HTTP/1.1\r\nHost: {}\r\nX_HTTP_Method-Override: DELETE\r\nX_Original_URL: /admin\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    let seen = upstream.seen.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(!seen.contains("DELETE") && !seen.contains("/admin"), "{seen}");
}

#[test]
fn an_intercepted_connection_counts_as_open() {
    let mut world = World::new();
    let mut stream = send(&world.proxy, &format!("CONNECT echo.test:{0} HTTP/1.1\r\nHost: echo.test:{0}\r\n\r\n", world.echo.port));
    let mut head = [0_u8; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let metrics = world.proxy.metrics();
    assert!(metrics.lines().any(|line| line == "keygress_connections 1"), "{metrics}");
    drop(stream);
    // A drain ends when there is no connection left, and not before its grace where one is counted that has ended.
    let metrics = world.proxy.metrics_handle();
    world.proxy.stop();
    assert!(metrics.expose().lines().any(|line| line == "keygress_connections 0"), "{}", metrics.expose());
}

#[test]
fn a_page_that_a_route_served_cannot_use_another_route() {
    let world = World::new();
    let rules = world::rule(world.echo.port) + "    route: echo\n";
    world.proxy.reload(&world::policy(&world.site, &world.key, &rules)).unwrap();
    for field in ["Sec-Fetch-Site: same-origin", "Origin: https://evil.test", "Origin: null"] {
        let text = format!("GET /echo/hello HTTP/1.1\r\nHost: 127.0.0.1\r\n{field}\r\nConnection: close\r\n\r\n");
        let answer = rest(send(&world.proxy, &text));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{field}\n{answer}");
    }
}
