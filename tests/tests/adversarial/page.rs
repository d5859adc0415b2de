//! The admin page: what a page in the same browser, another server on this host, another name for it, another user of this machine and
//! whoever finds the link later come to.

use std::os::unix::process::CommandExt;

use keygress_tests::attack::ground::Ground;
use keygress_tests::attack::way::{Request, Way};
use keygress_tests::client::bare;
use keygress_tests::page::{Page, Session};
use keygress_tests::servers::echo::Echo;
use keygress_tests::tools;
use serde_json::{Value, json};

/// What the page reads.
const READ: [&str; 8] = ["/overview", "/credentials", "/rules", "/leases", "/stops", "/tasks", "/alerts", "/events"];

/// What it orders.
const ORDERED: [&str; 5] = ["/explain", "/suspend", "/revoke", "/resume", "/reload"];

fn started(ground: &Ground<Echo>) -> Page {
    Page::start(ground.proxy.admin()).unwrap()
}

/// Nothing is stopped, and requests pass.
fn unharmed(ground: &Ground<Echo>) {
    assert_eq!(ground.proxy.control("GET", "/stops", &json!({})).unwrap().1, json!({ "stops": [] }));
    assert_eq!(ground.ask(Way::Absolute, &Request::get("/hello")).unwrap().status, 200);
}

#[test]
fn the_link_opens_once_and_without_a_session_there_is_nothing() {
    let ground = Ground::new().unwrap();
    let page = started(&ground);
    let (host, origin) = (page.address().to_string(), page.origin());
    for path in READ {
        assert_eq!(page.ask("GET", &format!("/api{path}"), &[("Host", &host)], "").unwrap().status, 401, "{path}");
    }
    for path in ORDERED {
        let heard = page.ask("POST", &format!("/api{path}"), &[("Host", &host), ("Origin", &origin)], r#"{"credential":"key"}"#).unwrap();
        assert_eq!(heard.status, 401, "{path}");
    }
    for key in ["", "wrong", &"x".repeat(2000)] {
        let heard = page.ask("POST", "/session", &[("Host", &host), ("Origin", &origin)], &json!({ "key": key }).to_string()).unwrap();
        assert!(matches!(heard.status, 400 | 403), "{heard:?}");
    }
    let opened = page.exchange().unwrap();
    assert_eq!(opened.status, 200, "{opened:?}");
    let cookie = opened.field("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict") && cookie.contains("; Path=/api"), "{cookie}");
    let again = page.exchange().unwrap();
    assert!(again.status == 403 && again.body.contains("opened before"), "{again:?}");
    // The key of the link is no proof itself.
    let (_, key) = page.link().split_once("#open=").unwrap();
    let stale = Session { cookie: format!("{}={key}", cookie.split('=').next().unwrap()), bearer: format!("Bearer {key}") };
    assert_eq!(page.by(&stale, "GET", "/api/overview", &Value::Null).unwrap().status, 401);
    unharmed(&ground);
    ground.left().unwrap();
}

#[test]
fn neither_proof_is_enough_alone() {
    // Another server on this host is sent the cookie when the browser visits it; it never sees the token.
    let ground = Ground::new().unwrap();
    let page = started(&ground);
    let session = page.open().unwrap();
    let none = String::new();
    let thieves = [
        Session { bearer: none.clone(), ..session.clone() },
        Session { cookie: none.clone(), ..session.clone() },
        Session { bearer: session.bearer.replace("Bearer", "Basic"), ..session.clone() },
        Session { cookie: session.cookie.replace("keygress_", "keygress"), ..session.clone() },
        Session { cookie: none.clone(), bearer: none },
    ];
    for thief in thieves {
        assert_eq!(page.by(&thief, "GET", "/api/overview", &Value::Null).unwrap().status, 401, "{thief:?}");
        assert_eq!(page.by(&thief, "POST", "/api/revoke", &json!({ "credential": "key" })).unwrap().status, 401, "{thief:?}");
    }
    assert_eq!(page.by(&session, "GET", "/api/overview", &Value::Null).unwrap().status, 200);
    unharmed(&ground);
    ground.left().unwrap();
}

#[test]
fn another_name_for_this_host_is_refused() {
    // A name of the attacker's that resolves to 127.0.0.1 is another origin to the browser, and the same server to the network.
    let ground = Ground::new().unwrap();
    let page = started(&ground);
    let session = page.open().unwrap();
    let port = page.address().port();
    for host in [
        format!("rebind.example:{port}"),
        format!("localhost:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{port}, x"),
        format!("127.0.0.2:{port}"),
        String::new(),
    ] {
        let fields = [("Host", &*host), ("Cookie", &session.cookie), ("Authorization", &session.bearer)];
        for path in ["/", "/main.js", "/api/credentials"] {
            let heard = page.ask("GET", path, &fields, "").unwrap();
            assert!(matches!(heard.status, 400 | 403) && !heard.body.contains("tests@"), "{host} {path}: {heard:?}");
        }
        let origin = format!("http://{host}");
        let fields = [fields[0], fields[1], fields[2], ("Origin", &*origin)];
        assert!(matches!(page.ask("POST", "/api/revoke", &fields, r#"{"credential":"key"}"#).unwrap().status, 400 | 403), "{host}");
    }
    unharmed(&ground);
    ground.left().unwrap();
}

#[test]
fn another_page_in_the_browser_is_refused() {
    let ground = Ground::new().unwrap();
    let page = started(&ground);
    let session = page.open().unwrap();
    let host = page.address().to_string();
    let proofs = [("Host", &*host), ("Cookie", &session.cookie), ("Authorization", &session.bearer)];
    let own = page.origin();
    let foreign = [
        vec![("Origin", "https://evil.example")],
        vec![("Origin", "null")],
        vec![("Origin", "http://127.0.0.1:1")],
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site"), ("Origin", &own)],
        vec![("Origin", &own), ("Origin", "https://evil.example")],
    ];
    for fields in &foreign {
        let fields: Vec<_> = proofs.iter().chain(fields).copied().collect();
        for (method, path) in [("GET", "/api/credentials"), ("GET", "/api/events"), ("POST", "/api/revoke"), ("POST", "/api/close")] {
            let heard = page.ask(method, path, &fields, r#"{"credential":"key"}"#).unwrap();
            assert!(matches!(heard.status, 400 | 403), "{fields:?}: {heard:?}");
        }
    }
    // A change without an origin is no browser's, and a form has no type of ours.
    assert_eq!(page.ask("POST", "/api/revoke", &proofs, r#"{"credential":"key"}"#).unwrap().status, 403);
    unharmed(&ground);
    ground.left().unwrap();
}

#[test]
fn another_user_of_this_machine_is_refused_with_both_proofs() {
    let ground = Ground::new().unwrap();
    let page = started(&ground);
    let session = page.open().unwrap();
    let asked = |uid: Option<u32>| {
        let mut curl = bare(tools::program("curl").unwrap());
        curl.args(["--silent", "--max-time", "60", "--write-out", "%{http_code}", "--output", "/dev/null", "--header"]);
        curl.arg(format!("Authorization: {}", session.bearer)).args(["--header", &format!("Cookie: {}", session.cookie)]);
        curl.arg(format!("{}/api/overview", page.origin())).current_dir("/");
        if let Some(uid) = uid {
            curl.uid(uid).gid(uid);
        }
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    assert_eq!(asked(None), "200");
    if rustix::process::geteuid().is_root() {
        assert_eq!(asked(Some(65_534)), "403");
    }
    ground.left().unwrap();
}

#[test]
fn reading_changes_nothing_and_only_what_is_listed_is_asked_for() {
    let ground = Ground::new().unwrap();
    let page = started(&ground);
    let session = page.open().unwrap();
    let order = json!({ "credential": "key" });
    for path in ORDERED {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let heard = page.by(&session, method, &format!("/api{path}"), &order).unwrap();
            assert_eq!(heard.status, 405, "{method} {path}: {heard:?}");
        }
        assert_eq!(page.by(&session, "POST", &format!("/api{path}?credential=key"), &order).unwrap().status, 405);
    }
    for method in ["GET", "HEAD", "PUT"] {
        assert_eq!(page.by(&session, method, "/session", &order).unwrap().status, 405);
    }
    // Whoever opens a task is told its token: that is not for a page.
    let task = json!({ "deadline": "1m" });
    assert_eq!(page.by(&session, "POST", "/api/tasks", &task).unwrap().status, 405);
    for path in [
        "/api/tasks/close",
        "/api/baselines/reset",
        "/api/metrics",
        "/api/",
        "/api",
        "/api/../metrics",
        "/api//overview",
        "/api/%6Fverview",
        "/metrics",
        "/healthz",
        "/policy.yaml",
    ] {
        for method in ["GET", "POST"] {
            let heard = page.by(&session, method, path, &task).unwrap();
            assert!(matches!(heard.status, 400 | 404 | 405), "{method} {path}: {heard:?}");
        }
    }
    assert_eq!(ground.proxy.control("GET", "/tasks", &json!({})).unwrap().1, json!({ "tasks": [] }));
    unharmed(&ground);
    ground.left().unwrap();
}

#[test]
fn every_answer_tells_the_browser_what_it_may_do() {
    let ground = Ground::new().unwrap();
    let page = started(&ground);
    let session = page.open().unwrap();
    let host = page.address().to_string();
    let mut heard = vec![page.ask("GET", "/", &[("Host", "evil.example")], "").unwrap(), page.exchange().unwrap()];
    for path in ["/", "/main.js", "/style.css", "/icon.svg", "/nothing", "/api/overview"] {
        heard.push(page.ask("GET", path, &[("Host", &host)], "").unwrap());
    }
    heard.push(page.by(&session, "GET", "/api/credentials", &Value::Null).unwrap());
    heard.push(page.by(&session, "POST", "/api/suspend", &json!({})).unwrap());
    for heard in &heard {
        let policy = heard.field("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|known| known == part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(heard.field(name), Some(value), "{}", heard.head);
        }
        assert_eq!(heard.field("access-control-allow-origin"), None);
    }
    ground.left().unwrap();
}

#[test]
fn no_answer_of_the_page_holds_a_secret() {
    let ground = Ground::new().unwrap();
    let task = ground.proxy.begin_task(("who", "one"), &["key"]).unwrap();
    for way in [Way::ConnectH2, Way::Absolute] {
        assert_eq!(ground.ask(way, &Request::get("/hello")).unwrap().status, 200);
    }
    let mut oracle = ground.oracle.clone();
    oracle.hide("token", &task.token);
    oracle.hide("placeholder", &task.placeholders["key"]);
    let page = started(&ground);
    let session = page.open().unwrap();
    let (_, key) = page.link().split_once("#open=").unwrap();
    oracle.hide("link", key);
    oracle.hide("cookie", session.cookie.split_once('=').unwrap().1);
    let mut asked: Vec<_> =
        READ.iter().filter(|path| **path != "/events").map(|path| ("GET", format!("/api{path}"), Value::Null)).collect();
    asked.push(("POST", "/api/explain".to_owned(), json!({ "method": "GET", "url": "https://api.test/hello", "from": null })));
    asked.push(("POST", "/api/suspend".to_owned(), json!({ "task": task.id })));
    for (method, path, body) in asked {
        let heard = page.by(&session, method, &path, &body).unwrap();
        assert_eq!(heard.status, 200, "{path}: {heard:?}");
        let found = oracle.finds(format!("{}{}", heard.head, heard.body).as_bytes());
        assert!(found.is_empty(), "{path}: {found:?} in {}", heard.body);
    }
    ground.left().unwrap();
}
