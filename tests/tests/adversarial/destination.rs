//! Who is asked, and who may choose that: what a workload writes may only select among the policy's destinations.

use std::io::{Read, Write};

use keygress_tests::attack::ground::{Ground, HOST};
use keygress_tests::attack::h1;
use keygress_tests::attack::way::{Request, Way};
use keygress_tests::attack::{cases, ground};
use keygress_tests::servers::echo::Echo;

#[test]
fn nothing_that_is_written_chooses_another_destination() {
    Ground::new().unwrap().tried(cases::destination::CASES).unwrap();
}

#[test]
fn a_captured_connection_is_no_connection_to_a_proxy() {
    Ground::new().unwrap().tried(cases::captured::CASES).unwrap();
}

#[test]
fn a_name_in_other_letters_is_one_name_on_the_wire() {
    let ground = Ground::new().unwrap();
    for way in [Way::Absolute, Way::ConnectH1, Way::ConnectH2, Way::Unix, Way::CapturedH1, Way::CapturedH2] {
        let request = Request { authority: format!("API.TeSt:{}", ground.target.port), ..Request::get("/hello") };
        assert_eq!(ground.ask(way, &request).unwrap().status, 200, "{way}");
    }
    // HTTP/2 upstreams see it as :authority, of which the harness keeps no copy: here it is HTTP/2 by all ways.
    assert_eq!(ground.api.seen().len(), 6);
    ground.left().unwrap();
}

/// A rule for `rebound.test` at the port of the upstream, with what it says of addresses.
fn rebound(port: u16, allow_ips: &str) -> String {
    format!("  rebound:\n    from: any\n    to: https://rebound.test:{port}\n    allow: [GET /**]\n    route: rebound\n{allow_ips}")
}

fn of(ground: &Ground<Echo>, host: &str, route: &str) -> keygress_tests::attack::wire::Target {
    keygress_tests::attack::wire::Target { host: host.to_owned(), route: route.to_owned(), ..ground.target.clone() }
}

#[test]
fn a_name_that_was_rebound_to_this_host_is_not_dialled() {
    // The harness answers for `rebound.test` with loopback, as a name server of the attacker would.
    let site = ground::site().unwrap();
    let api = Echo::start(&site, HOST).unwrap();
    let port = ground::Upstream::port(&api);
    let ground = Ground::around(site, api, "", &rebound(port, "")).unwrap();
    let target = of(&ground, "rebound.test", "rebound");
    for way in Way::ALL {
        let answer = ground.keep(target.ask(way, &Request::get("/hello")).unwrap());
        assert_eq!((answer.status, answer.code.as_str()), (403, "address_refused"), "{way}: {}", answer.text());
    }
    assert!(ground.api.seen().is_empty());
    let records = ground.left().unwrap();
    assert_eq!(records.iter().filter(|record| record["keygress"]["code"] == "address_refused").count(), Way::ALL.len());
}

#[test]
fn what_leads_back_to_the_proxy_itself_is_not_dialled() {
    // The rule names the proxy's own listener, which is known only once it listens.
    let ground = Ground::new().unwrap();
    let own = ground.target.listener.port();
    let file = ground.site.folder().join("policy.yaml");
    let policy = std::fs::read_to_string(file).unwrap();
    let circle = format!(
        "  circle:\n    from: any\n    to: http://{HOST}:{own}\n    allow: [GET /**]\n    unsafe_plaintext: true\n    allow_ips: [127.0.0.1/32]\n    route: circle\n"
    );
    ground.proxy.reload(&(policy + &circle)).unwrap();
    for (way, place) in [(Way::Absolute, format!("http://{HOST}:{own}/hello")), (Way::Unix, format!("http://{HOST}:{own}/hello"))] {
        let text = format!("GET {place} HTTP/1.1\r\nHost: {HOST}:{own}\r\nConnection: close\r\n\r\n");
        let answer = ground.keep(ground.target.say(way, text.as_bytes()).unwrap());
        assert_eq!((answer.status, answer.code.as_str()), (403, "address_refused"), "{way}: {}", answer.text());
    }
    let answer = ground.target.say(Way::Route, b"GET /circle/hello HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!((answer.status, answer.code.as_str()), (403, "address_refused"), "{}", answer.text());
    ground.left().unwrap();
}

#[test]
fn a_redirect_is_the_callers_to_follow_and_carries_no_credential_there() {
    for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let ground = Ground::answering(move |_| {
            format!("HTTP/1.1 {status}\r\nLocation: https://evil.test/taken\r\nAlt-Svc: h2=\"evil.test:443\"\r\nContent-Length: 0\r\n\r\n")
                .into_bytes()
        })
        .unwrap();
        for way in Way::ALL {
            let answer = ground.ask(way, &Request::get("/hello")).unwrap();
            assert_eq!(answer.values("location"), ["https://evil.test/taken"], "{way}");
            // Alt-Svc would lead the caller past the proxy.
            assert!(answer.values("alt-svc").is_empty(), "{way}: {:?}", answer.fields);
        }
        assert_eq!(ground.api.seen().len(), Way::ALL.len());
        ground.left().unwrap();
    }
}

#[test]
fn a_host_with_a_credential_is_never_tunnelled_blind() {
    let ground = Ground::new().unwrap();
    for first in [
        &b"GET /hello HTTP/1.1\r\nHost: api.test\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let (head, mut stream) = ground.target.connect(&ground.target.authority()).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        stream.write_all(first).unwrap();
        let rest = h1::drain(&mut stream).unwrap();
        assert!(!rest.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&rest));
    }
    assert!(ground.api.seen().is_empty());
    // Each is on record, and none has waited for the rest of a TLS record.
    let records = ground.left().unwrap();
    assert_eq!(records.iter().filter(|record| record["keygress"]["code"] == "bad_request").count(), 4, "{records:#?}");
}

#[test]
fn a_server_name_other_than_that_of_the_connect_gets_no_certificate() {
    let ground = Ground::new().unwrap();
    let names = ["evil.test", "x.api.test", "api.test.evil.test"];
    // By a captured connection the server name is all that names a destination: another one is another destination.
    for way in [Way::ConnectH1, Way::CapturedH1] {
        for name in names {
            let failed = ground.target.secured(way, name, b"http/1.1").err().map(|why| format!("{why:#}")).unwrap_or_default();
            assert!(failed.contains("handshake"), "{way} {name}: {failed:?}");
        }
        assert!(ground.target.secured(way, HOST, b"http/1.1").is_ok(), "its twin by {way}: the right name does");
    }
    // Without a name it would be the address that is asked for, and no rule passes that.
    assert!(ground.target.secured(Way::CapturedH1, "192.0.2.1", b"http/1.1").is_err());
    let records = ground.left().unwrap();
    let of = |code: &str| records.iter().filter(|record| record["keygress"]["code"] == code).count();
    assert_eq!((of("misdirected"), of("unknown_destination")), (names.len(), names.len() + 1), "{records:#?}");
}

#[test]
fn no_name_is_resolved_before_it_is_allowed() {
    // A name in a query is how data leaves by DNS. What is denied says so, and not that it does not resolve.
    let ground = Ground::new().unwrap();
    let target = of(&ground, "data-that-leaves.invalid", "none");
    for way in [Way::Absolute, Way::Unix] {
        let answer = ground.keep(target.ask(way, &Request::get("/")).unwrap());
        assert_eq!((answer.status, answer.code.as_str()), (403, "unknown_destination"), "{way}");
    }
    let (head, mut rest) = target.connect(&target.authority()).unwrap();
    assert!(head.starts_with("HTTP/1.1 403 ") && head.contains("x-keygress-refusal: unknown_destination"), "{head}");
    rest.read_to_end(&mut Vec::new()).unwrap();
    assert!(target.secured(Way::CapturedH1, &target.host, b"http/1.1").is_err());
    let record = ground.proxy.await_record("\"transparent\"").unwrap();
    assert!(record.contains("unknown_destination"), "{record}");
    ground.left().unwrap();
}
