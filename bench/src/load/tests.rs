//! The client against the upstream, both in this process.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::*;
use crate::upstream::{self, Settings};

struct Site {
    secure: SocketAddr,
    plain: SocketAddr,
    ca_pem: String,
}

/// An upstream that serves until the test process ends.
fn upstream() -> Site {
    let (sent, up) = channel();
    std::thread::spawn(move || {
        upstream::serve(&Settings { h2: true, core: None, threads: 1 }, |up| {
            sent.send(Site { secure: up.address, plain: up.plain, ca_pem: up.ca_pem.clone() })?;
            Ok(())
        })
    });
    up.recv().unwrap()
}

/// 60 requests with the right credential, over TLS, on three connections.
fn plan(site: &Site) -> Plan {
    Plan {
        address: site.secure,
        way: Way::Tls,
        is_secure: true,
        authority: format!("localhost:{}", site.secure.port()),
        trust_pem: site.ca_pem.clone(),
        protocol: Protocol::Http1,
        method: Method::GET,
        path: Path::One("/size/200".to_owned()),
        headers: bearer("right"),
        request_bytes: 0,
        connections: 3,
        streams: 1,
        reuse: Reuse::KeepAlive,
        pace: Pace::Closed,
        until: Until { requests: Some(60), time: Duration::from_secs(60) },
        warm_up: 3,
        patience: Duration::from_secs(30),
        expected: Expected {
            response_bytes: Some(200),
            saw: Some(Arc::new(HashSet::from([upstream::digest(b"Bearer right")]))),
            ..Expected::default()
        },
        threads: 2,
    }
}

fn bearer(token: &str) -> HeaderMap {
    [(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap())].into_iter().collect()
}

fn errors(measured: &Measured) -> Vec<(&str, u64)> {
    measured.errors.iter().map(|(kind, count)| (kind.as_str(), *count)).collect()
}

#[test]
fn what_is_right_is_counted_once_each() {
    let measured = run(&plan(&upstream())).unwrap();
    assert_eq!((measured.right, errors(&measured), measured.connections), (60, vec![], 3));
    assert_eq!((measured.bytes_down, measured.latency.len(), measured.unsent), (60 * 200, 60, 0));
}

#[test]
fn a_wrong_credential_is_an_error_however_fast_the_answer_was() {
    let site = upstream();
    let with = |headers| run(&Plan { headers, ..plan(&site) }).unwrap();
    let wrong = with(bearer("wrong"));
    assert_eq!((wrong.right, errors(&wrong)), (0, vec![("warm-up: wrong credential", 3), ("wrong credential", 60)]));
    assert_eq!(wrong.latency.len(), 0);
    let none = with(HeaderMap::new());
    assert_eq!((none.right, errors(&none)), (0, vec![("no credential", 60), ("warm-up: no credential", 3)]));
}

#[test]
fn a_wrong_status_or_length_is_an_error() {
    let site = upstream();
    let get = |path: &str| run(&Plan { path: Path::One(path.to_owned()), warm_up: 0, ..plan(&site) }).unwrap();
    assert_eq!(errors(&get("/nothing")), [("status 404", 60)]);
    assert_eq!(errors(&get("/size/201")), [("wrong length", 60)]);
    let expected = Expected { status: StatusCode::NOT_FOUND, response_bytes: Some(0), ..plan(&site).expected };
    assert_eq!(run(&Plan { path: Path::One("/nothing".to_owned()), expected, ..plan(&site) }).unwrap().right, 60);
}

#[test]
fn http2_carries_several_requests_on_one_connection() {
    let measured = run(&Plan { protocol: Protocol::Http2, connections: 2, streams: 5, ..plan(&upstream()) }).unwrap();
    assert_eq!((measured.right, errors(&measured), measured.connections), (60, vec![], 2));
}

#[test]
fn a_new_connection_each_is_one_with_or_without_the_session_before() {
    let site = upstream();
    let never = |resume| run(&Plan { reuse: Reuse::Never { resume }, connections: 1, warm_up: 1, ..plan(&site) }).unwrap();
    let (resumed, full) = (never(true), never(false));
    assert_eq!((resumed.right, resumed.connections, resumed.resumed), (60, 61, 60));
    assert_eq!((full.right, full.connections, full.resumed), (60, 61, 0));
}

#[test]
fn bodies_go_up_whole() {
    let received = Some((HeaderName::from_static("x-bench-received"), HeaderValue::from(300_000)));
    let site = upstream();
    let up = Plan { method: Method::POST, path: Path::One("/sink".to_owned()), request_bytes: 300_000, ..plan(&site) };
    let expecting = |field, response_bytes| Expected { field, response_bytes, ..plan(&site).expected };
    let measured = run(&Plan { expected: expecting(received, Some(0)), ..up.clone() }).unwrap();
    assert_eq!((measured.right, errors(&measured), measured.bytes_up), (60, vec![], 60 * 300_000));
    let other = Some((HeaderName::from_static("x-bench-received"), HeaderValue::from(300_001)));
    assert_eq!(errors(&run(&Plan { expected: expecting(other, Some(0)), warm_up: 0, ..up.clone() }).unwrap()), [("wrong field", 60)]);
    let echo = Plan { path: Path::One("/echo".to_owned()), expected: expecting(None, Some(300_000)), ..up };
    assert_eq!(run(&echo).unwrap().bytes_down, 60 * 300_000);
}

#[test]
fn a_plain_way_names_the_upstream_whole() {
    let site = upstream();
    let absolute = Plan { address: site.plain, way: Way::Absolute, trust_pem: String::new(), ..plan(&site) };
    assert_eq!(run(&absolute).unwrap().right, 60);
    let origin = Way::Origin { prefix: "/size".to_owned(), host: None };
    assert_eq!(run(&Plan { way: origin, path: Path::One("/200".to_owned()), ..absolute }).unwrap().right, 60);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (site, other) = (upstream(), upstream());
    let measured = run(&Plan { trust_pem: other.ca_pem, warm_up: 0, ..plan(&site) }).unwrap();
    assert_eq!((measured.right, errors(&measured)), (0, vec![("tls handshake", 60)]));
}

#[test]
fn what_is_late_counts_from_when_it_was_due() {
    let site = upstream();
    // Each answer takes 20 ms and there is one connection: the fourth of those that are due at once waits for three others.
    let path = Path::One("/slow/20".to_owned());
    let until = Until { requests: Some(4), time: Duration::from_secs(60) };
    let slow = Plan { path, until, pace: Pace::Constant(10_000.0), connections: 1, warm_up: 1, threads: 1, ..plan(&site) };
    let measured = run(&slow).unwrap();
    assert_eq!((measured.right, errors(&measured)), (4, vec![]));
    assert!(measured.microseconds_at(100.0) >= 79_000.0, "{}", measured.microseconds_at(100.0));
    assert!(measured.microseconds_at(25.0) >= 20_000.0);
}

#[test]
fn numbered_paths_are_asked_for_in_turn() {
    let site = upstream();
    let path = Path::Numbered { before: "/size/".to_owned(), count: 3 };
    let expected = Expected { response_bytes: None, ..plan(&site).expected };
    let measured = run(&Plan { path, expected, warm_up: 0, threads: 1, ..plan(&site) }).unwrap();
    assert_eq!((measured.right, measured.bytes_down), (60, 20 * (1 + 2 + 3)));
}

#[test]
fn a_server_that_is_not_there_is_an_error_of_each_request() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let measured = run(&Plan { address: nobody, warm_up: 0, ..plan(&upstream()) }).unwrap();
    assert_eq!((measured.right, errors(&measured)), (0, vec![("no connection: connection refused", 60)]));
}
