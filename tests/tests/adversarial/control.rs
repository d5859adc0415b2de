//! The control plane: what gives orders, what keeps records, and what the process shows of itself.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use keygress_tests::attack::ground::Ground;
use keygress_tests::attack::way::{Request, Way};
use keygress_tests::servers::echo::Echo;
use serde_json::json;

/// These bytes on the admin socket, and all that comes back.
fn said(ground: &Ground<Echo>, text: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(ground.proxy.admin()).unwrap();
    stream.set_read_timeout(Some(keygress_tests::attack::wire::TIME_MAX)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).unwrap();
    raw
}

#[test]
fn no_answer_of_the_admin_socket_holds_a_secret() {
    let ground = Ground::new().unwrap();
    assert_eq!(ground.ask(Way::ConnectH2, &Request::get("/hello")).unwrap().status, 200);
    let task = ground.proxy.begin_task(("who", "one"), &["key"]).unwrap();
    let mut oracle = ground.oracle.clone();
    oracle.hide("token", &task.token);
    oracle.hide("placeholder", &task.placeholders["key"]);
    let mut asked = Vec::new();
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/policy",
        "/overview",
        "/rules",
        "/leases",
        "/stops",
        "/credentials",
        "/alerts",
        "/tasks",
        "/debug/vars",
        "/",
    ] {
        for method in ["GET", "HEAD", "DELETE"] {
            asked.push(format!("{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n"));
        }
    }
    // What cannot be read must not be said back with more than was sent either.
    let orders = [
        json!({}),
        json!({ "credential": "key", "host": "x" }),
        json!({ "credential": ground.key }),
        json!("x"),
        json!({ "task": task.id }),
    ];
    for path in ["/explain", "/suspend", "/revoke", "/resume", "/reload"] {
        for order in &orders {
            let body = order.to_string();
            // The key itself is what an operator might paste in the wrong place.
            let body = body.replace(&ground.key, "nobody");
            asked.push(format!("POST {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    }
    for request in asked {
        let answer = said(&ground, &request);
        assert!(answer.starts_with(b"HTTP/1.1 "), "{request}");
        let found = oracle.finds(&answer);
        assert!(found.is_empty(), "{request}: {found:?} in {}", String::from_utf8_lossy(&answer));
    }
    ground.left().unwrap();
}

#[test]
fn the_admin_socket_is_its_owners_alone_and_reading_changes_nothing() {
    let ground = Ground::new().unwrap();
    let mode = std::fs::metadata(ground.proxy.admin()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for path in ["/reload", "/suspend", "/revoke", "/resume"] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let answer = said(&ground, &format!("{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n"));
            assert!(answer.starts_with(b"HTTP/1.1 405 "), "{method} {path}: {}", String::from_utf8_lossy(&answer));
        }
    }
    assert_eq!(ground.proxy.control("GET", "/stops", &json!({})).unwrap().1, json!({ "stops": [] }));
    assert_eq!(ground.ask(Way::Absolute, &Request::get("/hello")).unwrap().status, 200);
    ground.left().unwrap();
}

#[test]
fn callers_do_not_reach_what_gives_orders() {
    // The paths of the admin socket are nothing on the listeners of callers.
    let ground = Ground::new().unwrap();
    for way in [Way::Absolute, Way::Unix] {
        for path in ["/healthz", "/metrics", "/policy", "/leases", "/revoke", "/reload"] {
            let text = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}");
            let answer = ground.keep(ground.target.say(way, text.as_bytes()).unwrap());
            assert_eq!((answer.status, answer.code.as_str()), (403, "unknown_destination"), "{way} {path}: {}", answer.text());
        }
    }
    ground.left().unwrap();
}

#[test]
fn a_rule_does_not_widen_where_a_credential_may_go() {
    let ground = Ground::new().unwrap();
    let policy = std::fs::read_to_string(ground.site.folder().join("policy.yaml")).unwrap();
    for host in ["evil.test", "x.api.test", "evilapi.test", "api.test.evil.test", "127.0.0.1"] {
        let rule = format!("  wider:\n    from: any\n    to: https://{host}\n    allow: [GET /**]\n    credential: key\n");
        let why = ground.proxy.reload(&format!("{policy}{rule}")).expect_err(host);
        assert!(format!("{why:#}").contains("may only reach"), "{host}: {why:#}");
    }
    assert_eq!(ground.ask(Way::ConnectH1, &Request::get("/hello")).unwrap().status, 200, "the last good one is in force");
    ground.left().unwrap();
}

#[test]
fn a_revocation_that_was_acknowledged_is_in_force_by_every_way() {
    let ground = Ground::new().unwrap();
    for way in Way::ALL {
        assert_eq!(ground.ask(way, &Request::get("/hello")).unwrap().status, 200, "{way}");
    }
    let before = ground.api.seen().len();
    let (status, answer) = ground.proxy.control("POST", "/revoke", &json!({ "credential": "key", "reason": "a test" })).unwrap();
    assert_eq!(status, 200, "{answer}");
    for way in Way::ALL {
        let refused = ground.ask(way, &Request::get("/hello")).unwrap();
        assert_eq!((refused.status, refused.code.as_str()), (403, "revoked"), "{way}");
    }
    assert_eq!(ground.api.seen().len(), before, "nothing leaves");
    ground.left().unwrap();
}

#[test]
fn the_process_shows_no_secret_in_its_command_line_or_environment() {
    let ground = Ground::new().unwrap();
    assert_eq!(ground.ask(Way::Absolute, &Request::get("/hello")).unwrap().status, 200);
    for name in ["cmdline", "environ", "status", "maps", "mountinfo"] {
        let text = std::fs::read(format!("/proc/self/{name}")).unwrap();
        let found = ground.oracle.finds(&text);
        assert!(found.is_empty(), "/proc/self/{name} holds {found:?}");
    }
    ground.left().unwrap();
}
