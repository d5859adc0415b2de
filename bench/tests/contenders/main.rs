//! Each contender is started with its configuration, and carries requests with the right credential and with no other.
//!
//! The floor and nginx are everywhere; the other peers take part with the feature `peers`, where they are installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use keygress_bench::child::Program;
use keygress_bench::contender::floor::Floor;
use keygress_bench::contender::{self, Contender, Site};
use keygress_bench::load::{self, Measured, Protocol, Reuse};
use keygress_bench::scenario::{Entrance, Shape};
use keygress_bench::upstream::{self, Settings};

const TOKEN: &str = "sk_test_0123456789";

/// What comes of a few requests through a contender whose upstream is to see this token.
fn ask(contender: &dyn Contender, shape: &Shape, token: &str) -> Measured {
    let servers = Program { command: vec![env!("CARGO_BIN_EXE_keygress-bench").into(), "--serve".into()] };
    let settings = Settings { h2: shape.upstream == Protocol::Http2, threads: 1, ..Settings::default() };
    let upstream = upstream::start(&servers, &settings).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // squid reads as somebody else.
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let token_file = folder.path().join("token");
    fs::write(&token_file, TOKEN).unwrap();
    let site = Site { folder: folder.path(), upstream: &upstream, shape, token_file: &token_file, token: TOKEN, core: None };
    contender.can(shape).unwrap();
    let running = contender.start(&site).unwrap_or_else(|error| panic!("{}: {error:#}", contender.name()));
    load::run(&shape.plan(&upstream, &running.entry, token)).unwrap()
}

fn peer(name: &str) -> Box<dyn Contender> {
    if name == "floor" {
        return Box::new(Floor { program: Some(env!("CARGO_BIN_EXE_keygress-bench-floor").into()) });
    }
    contender::peers().into_iter().find(|peer| peer.name() == name).expect("a peer of this name")
}

/// A few requests of this kind come through with the credential; with another one they do not count.
fn carries(name: &str, shape: &Shape) {
    let shape = Shape { requests: 40, connections: 4, ..shape.clone() };
    let measured = ask(&*peer(name), &shape, TOKEN);
    assert_eq!((measured.right, measured.errors), (40, Default::default()), "{name} {shape:?}");
    let measured = ask(&*peer(name), &shape, "sk_test_another");
    assert_eq!(measured.right, 0, "{name} {shape:?}");
    assert!(measured.errors.keys().any(|kind| kind.contains("credential")), "{name}: {:?}", measured.errors);
}

fn plain() -> Shape {
    Shape::default()
}

fn intercepted() -> Shape {
    Shape { entrance: Entrance::Intercept, ..Shape::default() }
}

fn new_connections() -> Shape {
    Shape { reuse: Reuse::Never { resume: true }, ..intercepted() }
}

fn http2() -> Shape {
    Shape { protocol: Protocol::Http2, upstream: Protocol::Http2, streams: 4, ..intercepted() }
}

fn up_and_down() -> Shape {
    Shape { request_bytes: 100_000, response_bytes: 100_000, ..Shape::default() }
}

fn carries_all(name: &str, shapes: &[Shape]) {
    shapes.iter().for_each(|shape| carries(name, shape));
}

#[test]
fn the_floor_puts_the_credential_on() {
    carries_all("floor", &[plain(), intercepted(), new_connections(), up_and_down()]);
    assert!(peer("floor").can(&http2()).is_err());
}

#[test]
fn nginx_puts_the_credential_on() {
    carries_all("nginx", &[plain(), intercepted(), new_connections(), http2(), up_and_down()]);
}

#[cfg(feature = "peers")]
#[test]
fn haproxy_puts_the_credential_on() {
    carries_all("haproxy", &[plain(), intercepted(), new_connections(), http2(), up_and_down()]);
}

#[cfg(feature = "peers")]
#[test]
fn envoy_puts_the_credential_on() {
    carries_all("envoy", &[plain(), intercepted(), new_connections(), http2(), up_and_down()]);
}

#[cfg(feature = "peers")]
#[test]
fn squid_puts_the_credential_on() {
    carries_all("squid", &[plain(), intercepted(), new_connections(), up_and_down()]);
    assert!(peer("squid").can(&http2()).is_err());
}

#[cfg(feature = "peers")]
#[test]
fn mitmproxy_puts_the_credential_on() {
    carries_all("mitmproxy", &[plain(), intercepted(), new_connections(), http2(), up_and_down()]);
    assert!(peer("mitmproxy").can(&Shape { protocol: Protocol::Http2, ..intercepted() }).is_err());
}
