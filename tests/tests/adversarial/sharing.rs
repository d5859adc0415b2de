//! A second workload on the same proxy: nothing that was obtained for one identity serves another, and what one holds opens nothing for another.

use std::sync::atomic::{AtomicUsize, Ordering};

use keygress_tests::attack::ground::{self, Ground, HOST};
use keygress_tests::attack::h1;
use keygress_tests::attack::way::{Answer, Request, Way};
use keygress_tests::attack::wire::Target;
use keygress_tests::proxy::Held;
use keygress_tests::servers::echo::Echo;
use keygress_tests::servers::scripted::{Scripted, bearer};
use keygress_tests::site::{Site, canary};

/// Two workloads, told apart by what their tasks were begun with.
const WORKLOADS: &str = "workloads:\n  one: { task: { labels: { who: one } } }\n  two: { task: { labels: { who: two } } }\n";

/// A ground with these further credentials and rules.
fn shared(site: Site, credentials: &str, rules: &str) -> Ground<Echo> {
    let api = Echo::start(&site, HOST).unwrap();
    Ground::under(site, api, credentials, &format!("{rules}{WORKLOADS}")).unwrap()
}

/// A rule that puts this credential on requests to an upstream of its own, for both workloads.
fn rule(name: &str, credential: &str, port: u16) -> String {
    format!(
        "  {name}:\n    from: [one, two]\n    to: https://{name}.test:{port}\n    allow: [GET /**, POST /**]\n    credential: {credential}\n    \
         allow_ips: [127.0.0.1/32]\n    route: {name}\n"
    )
}

/// An upstream that answers `ok` on whatever it is asked.
fn agreeable(site: &Site, host: &str) -> Scripted {
    Scripted::start(site, host, |_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()).unwrap()
}

fn begun(ground: &Ground<Echo>, who: &str) -> Held {
    ground.proxy.begin_task(("who", who), &["held"]).unwrap()
}

/// The target as the holder of this token sees it.
fn of(ground: &Ground<Echo>, held: &Held) -> Target {
    Target { token: Some(held.token.clone()), ..ground.target.clone() }
}

/// The same for another upstream.
fn at(ground: &Ground<Echo>, held: &Held, name: &str, port: u16) -> Target {
    Target { host: format!("{name}.test"), route: name.to_owned(), port, ..of(ground, held) }
}

fn asked(ground: &Ground<Echo>, target: &Target, way: Way, request: &Request) -> Answer {
    ground.keep(target.ask(way, request).unwrap_or_else(|why| panic!("{way}: {why:#}")))
}

#[test]
fn a_connection_that_one_identity_opened_serves_no_other() {
    let ground = shared(ground::site().unwrap(), "", "");
    for (number, who) in ["one", "two", "one"].into_iter().enumerate() {
        let held = begun(&ground, who);
        for way in Way::TOKEN {
            assert_eq!(asked(&ground, &of(&ground, &held), way, &Request::get("/hello")).status, 200, "{way}");
            // Its own is kept from way to way; that of another task, of the same workload too, is not taken.
            assert_eq!(ground.api.connections(), number + 1, "{way}");
        }
    }
    ground.left().unwrap();
}

#[test]
fn a_token_that_was_minted_for_one_is_put_on_for_no_other() {
    let site = ground::site().unwrap();
    let (minted, base) = (AtomicUsize::new(0), canary().unwrap());
    let issued = base.clone();
    let issuer = Scripted::start(&site, "localhost", move |_| {
        let token = format!("{issued}{}", minted.fetch_add(1, Ordering::Relaxed));
        let body = format!("{{\"access_token\":\"{token}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}");
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").into()
    })
    .unwrap();
    let paid = agreeable(&site, "paid.test");
    let secret = canary().unwrap();
    let credential = format!(
        "  minted:
    owner: tests@example.com
    source: {{ oauth2_client_credentials: {{ token_url: 'https://localhost:{}/token', client_id: tests, client_secret: {{ file: {} }} }} }}
    inject: bearer
    only_to: [paid.test]
",
        issuer.port,
        site.write_secret("client-secret", &secret).unwrap().display()
    );
    let mut ground = shared(site, &credential, &rule("paid", "minted", paid.port));
    ground.oracle.hide("minted", &base);
    ground.oracle.hide("client secret", &secret);
    let (one, two) = (begun(&ground, "one"), begun(&ground, "two"));
    let mut seen = Vec::new();
    for held in [&one, &two, &one, &two] {
        for way in Way::TOKEN {
            assert_eq!(asked(&ground, &at(&ground, held, "paid", paid.port), way, &Request::get("/hello")).status, 200, "{way}");
        }
        let tokens: Vec<String> = paid.seen().iter().rev().take(Way::TOKEN.len()).map(|request| bearer(request).to_owned()).collect();
        assert!(tokens[0].starts_with(&base) && tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
        seen.push(tokens[0].clone());
    }
    assert_eq!((&seen[0], &seen[1]), (&seen[2], &seen[3]), "each keeps its own");
    assert_ne!(seen[0], seen[1], "and has no other's");
    ground.left().unwrap();
}

/// A credential in whose place the application must send its placeholder.
fn held(site: &Site, key: &str) -> String {
    let file = site.write_secret("held", key).unwrap();
    format!(
        "  held:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: {{ bearer: {{ existing: require_placeholder }} }}
    only_to: [held.test]
    placeholder: {{ env: HELD }}
",
        file.display()
    )
}

#[test]
fn a_placeholder_opens_nothing_for_another() {
    let (site, key) = (ground::site().unwrap(), canary().unwrap());
    let upstream = agreeable(&site, "held.test");
    let credential = held(&site, &key);
    let mut ground = shared(site, &credential, &rule("held", "held", upstream.port));
    ground.oracle.hide("held", &key);
    let (one, two) = (begun(&ground, "one"), begun(&ground, "two"));
    let with = |placeholder: &str| Request::get("/hello").with("Authorization", &format!("Bearer {placeholder}"));
    let (ours, theirs) = (one.placeholders["held"].clone(), two.placeholders["held"].clone());
    let target = at(&ground, &one, "held", upstream.port);
    for way in Way::TOKEN {
        let near = ours.strip_suffix(|_: char| true).unwrap_or_default();
        for wrong in
            [with(&theirs), with(near), with(""), with(&key), Request::get("/hello"), with(&ours).with("Authorization", "Bearer x")]
        {
            let answer = asked(&ground, &target, way, &wrong);
            assert_eq!((answer.status, answer.code.as_str()), (403, "slot_refused"), "{way}: {wrong:?}");
        }
        assert_eq!(upstream.seen().len(), 0, "{way}");
    }
    for way in Way::TOKEN {
        assert_eq!(asked(&ground, &target, way, &with(&ours)).status, 200, "its twin, {way}");
    }
    for seen in upstream.seen() {
        assert!(bearer(&seen) == key && !seen.contains(&ours), "{seen}");
    }
    ground.left().unwrap();
}

#[test]
fn a_placeholder_is_exchanged_in_its_slot_alone() {
    let (site, key) = (ground::site().unwrap(), canary().unwrap());
    let upstream = agreeable(&site, "held.test");
    let credential = held(&site, &key);
    let mut ground = shared(site, &credential, &rule("held", "held", upstream.port));
    ground.oracle.hide("held", &key);
    let one = begun(&ground, "one");
    let ours = one.placeholders["held"].clone();
    for way in Way::TOKEN {
        // Where an upstream would store or echo it, it stays what it is.
        let request = Request::post(&format!("/mirror?note={ours}"), format!("note={ours}").as_bytes())
            .with("Authorization", &format!("Bearer {ours}"))
            .with("X-Note", &ours);
        assert_eq!(asked(&ground, &at(&ground, &one, "held", upstream.port), way, &request).status, 200, "{way}");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!((seen.matches(&key).count(), seen.matches(&ours).count()), (1, 3), "{way}: {seen}");
        // At another upstream of the policy it is worth nothing, and does not even arrive.
        let elsewhere = Request::get("/hello").with("Authorization", &format!("Bearer {ours}"));
        assert_eq!(asked(&ground, &of(&ground, &one), way, &elsewhere).status, 200, "{way}");
        let seen = ground.api.seen().pop().unwrap();
        assert_eq!(seen.values("authorization"), [format!("Bearer {}", ground.key)], "{way}");
    }
    ground.left().unwrap();
}

#[test]
fn the_token_of_a_task_that_ended_opens_nothing_nor_do_its_connections() {
    let ground = shared(ground::site().unwrap(), "", "");
    let (one, two) = (begun(&ground, "one"), begun(&ground, "two"));
    let target = of(&ground, &one);
    // Two connections from before: the next request on each is refused.
    let mut kept = Vec::new();
    for way in [Way::Absolute, Way::ConnectH1] {
        let mut stream = target.h1(way).unwrap();
        let head = "GET {target}/hello HTTP/1.1\r\nHost: {host}\r\n\r\n";
        std::io::Write::write_all(&mut stream, &h1::fill(&target, way, head)).unwrap();
        assert!(ground.before_long(|ground| ground.api.seen().len() > kept.len()), "{way}");
        kept.push((way, stream));
    }
    ground.proxy.end_task(&one).unwrap();
    for (way, mut stream) in kept {
        let head = "GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n";
        std::io::Write::write_all(&mut stream, &h1::fill(&target, way, head)).unwrap();
        let raw = h1::drain(&mut stream).unwrap();
        let text = String::from_utf8_lossy(&raw).into_owned();
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("\r\nx-keygress-refusal: "), "{way}: {text}");
        ground.keep(h1::read(&raw));
    }
    for way in [Way::Absolute, Way::Route, Way::Unix] {
        let answer = asked(&ground, &target, way, &Request::get("/hello"));
        assert_eq!((answer.status, answer.code.as_str()), (407, "caller_unproven"), "{way}");
        assert_eq!(asked(&ground, &of(&ground, &two), way, &Request::get("/hello")).status, 200, "its twin, {way}");
    }
    let (head, _) = target.connect(&target.authority()).unwrap();
    assert!(head.starts_with("HTTP/1.1 407 "), "{head}");
    ground.left().unwrap();
}

#[test]
fn one_connection_to_the_proxy_puts_on_each_host_its_own() {
    // A cache of what was put on, without the host in its key, would give the second host the first one's.
    let (site, key) = (ground::site().unwrap(), canary().unwrap());
    let upstream = agreeable(&site, "other.test");
    let file = site.write_secret("other", &key).unwrap();
    let credential = format!(
        "  other:\n    owner: tests@example.com\n    static: {{ reason: a test, expires: 2099-12-31 }}\n    source: {{ file: {} }}\n    \
         inject: bearer\n    only_to: [other.test]\n",
        file.display()
    );
    let mut ground = shared(site, &credential, &rule("other", "other", upstream.port));
    ground.oracle.hide("other", &key);
    let one = begun(&ground, "one");
    for way in [Way::Absolute, Way::Unix, Way::Route] {
        let targets = [of(&ground, &one), at(&ground, &one, "other", upstream.port)];
        let ask =
            |target: &Target, end: &str| h1::fill(target, way, &format!("GET {{target}}/hello HTTP/1.1\r\nHost: {{host}}\r\n{end}\r\n"));
        let text = [0, 1, 0, 1].map(|turn| ask(&targets[turn], "")).concat();
        let answer = ground
            .keep(h1::converse(&mut *targets[0].h1(way).unwrap(), &[text, ask(&targets[0], "Connection: close\r\n")].concat()).unwrap());
        assert_eq!((answer.status, answer.answers), (200, 5), "{way}: {}", String::from_utf8_lossy(&answer.raw));
    }
    assert!(upstream.seen().iter().all(|seen| bearer(seen) == key), "{:?}", upstream.seen());
    assert!(ground.api.seen().iter().all(|seen| seen.values("authorization") == [format!("Bearer {}", ground.key)]));
    assert_eq!((upstream.seen().len(), ground.api.seen().len()), (6, 9));
    ground.left().unwrap();
}
