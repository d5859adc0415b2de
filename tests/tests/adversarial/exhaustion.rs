//! Exhaustion: who floods one connection loses it, and everybody else is served. Bounds are counted, not timed.

use std::io::Write;

use keygress_tests::attack::ground::{Ground, Upstream};
use keygress_tests::attack::h2::{self, Connection};
use keygress_tests::attack::way::{Request, Way};
use keygress_tests::servers::echo::Echo;

fn fields(ground: &Ground<Echo>) -> Vec<(String, String)> {
    h2::fields(&ground.target, &Request::get("/hello"))
}

/// Somebody else is served, by every way, while and after.
fn others_are_served<U: Upstream>(ground: &Ground<U>) {
    for way in Way::ALL {
        assert_eq!(ground.ask(way, &Request::get("/hello")).unwrap().status, 200, "{way}");
    }
}

/// Floods until the other side has had enough; fails where it takes all of it.
fn is_ended(ground: &Ground<Echo>, mut flood: impl FnMut(&mut Connection) -> anyhow::Result<()>) {
    for way in [Way::ConnectH2, Way::CapturedH2] {
        let mut connection = Connection::open(&ground.target, way).unwrap();
        let broken = (0..5000).any(|_| flood(&mut connection).is_err());
        // What was written into buffers meets its end when that is read.
        let mut ended = broken;
        while !ended {
            ended = connection.read().unwrap().is_none_or(|frame| frame.kind == h2::GOAWAY);
        }
        others_are_served(ground);
    }
}

#[test]
fn a_rapid_reset_ends_the_connection() {
    let ground = Ground::new().unwrap();
    let block = h2::block(&fields(&ground));
    is_ended(&ground, |connection| {
        let stream = connection.stream();
        connection.write(h2::HEADERS, h2::END_HEADERS | h2::END_STREAM, stream, &block)?;
        connection.write(h2::RST_STREAM, 0, stream, &8_u32.to_be_bytes())
    });
    ground.left().unwrap();
}

#[test]
fn a_header_block_without_end_ends_the_connection() {
    let ground = Ground::new().unwrap();
    let block = h2::block(&fields(&ground));
    let more = h2::block(&[("x-a".to_owned(), "b".repeat(1000))]);
    let mut connection = Connection::open(&ground.target, Way::ConnectH2).unwrap();
    connection.write(h2::HEADERS, h2::END_STREAM, 1, &block).unwrap();
    let broken = (0..20_000).any(|_| connection.write(h2::CONTINUATION, 0, 1, &more).is_err());
    assert!(broken, "20 MB of one header block were taken");
    others_are_served(&ground);
    ground.left().unwrap();
}

/// They are answered one by one, or the connection ends; either way they cost their sender as much as anybody.
#[test]
fn pings_and_settings_without_end_hold_up_nobody() {
    let ground = Ground::new().unwrap();
    for (kind, payload) in [(h2::PING, &b"8 octets"[..]), (h2::SETTINGS, b"")] {
        let mut connection = Connection::open(&ground.target, Way::ConnectH2).unwrap();
        let (mut sent, mut answered) = (0, 0);
        while sent < 20_000 && (0..500).all(|_| connection.write(kind, 0, 0, payload).is_ok()) {
            sent += 500;
            // Their answers wait in the buffers of both sides; what does not fit must not wait anywhere else.
            while answered < sent / 2 {
                match connection.read().unwrap() {
                    Some(frame) => answered += usize::from(frame.kind == kind && frame.flags == h2::ACK),
                    None => break,
                }
            }
        }
        others_are_served(&ground);
    }
    ground.left().unwrap();
}

/// Informational answers are no answer: many may come before one, and none without one is passed on.
#[test]
fn an_upstream_that_only_ever_hints_holds_up_nobody() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nconnection: close\r\n\r\n";
    let ground = Ground::answering(move |request| {
        let last = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let (times, last) = if request.contains("/hello/hints") { (100_000, "") } else { (100, last) };
        [hints.repeat(times), last.to_owned()].concat().into_bytes()
    });
    let ground = ground.unwrap();
    for way in Way::ALL {
        let answer = ground.ask(way, &Request::get("/hello/hints")).unwrap();
        assert_eq!(answer.status, 502, "{way}");
        others_are_served(&ground);
    }
    ground.left().unwrap();
}

#[test]
fn a_head_that_is_too_large_is_refused_by_every_way() {
    let ground = Ground::new().unwrap();
    let large = Request::get("/hello").with("x-large", &"a".repeat(80 << 10));
    let many = (0..300).fold(Request::get("/hello"), |request, number| request.with(&format!("x-{number}"), "a"));
    for way in Way::H1 {
        for request in [&large, &many] {
            let answer = ground.ask(way, request).unwrap();
            assert!(matches!(answer.status, 0 | 400 | 431), "{way}: {}", answer.status);
        }
    }
    let answer =
        ground.ask(Way::ConnectH2, &Request::get("/hello").with("x-large", &"a".repeat(12 << 10)).with("x-more", &"b".repeat(3 << 10)));
    assert_eq!(answer.unwrap().status, 200, "its twin: what fits");
    assert_eq!(ground.api.seen().len(), 1, "nothing else arrived");
    others_are_served(&ground);
    ground.left().unwrap();
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let ground = Ground::new().unwrap();
    let block = h2::block(&h2::fields(&ground.target, &Request::get("/hello/never")));
    let mut connection = Connection::open(&ground.target, Way::ConnectH2).unwrap();
    for _ in 0..150 {
        let stream = connection.stream();
        connection.write(h2::HEADERS, h2::END_HEADERS | h2::END_STREAM, stream, &block).unwrap();
    }
    let mut refused = 0;
    while refused < 50 {
        let frame = connection.read().unwrap().expect("the connection ended before fifty were refused");
        // REFUSED_STREAM (RFC 9113, section 7).
        refused += usize::from(frame.kind == h2::RST_STREAM && frame.payload == 7_u32.to_be_bytes());
    }
    others_are_served(&ground);
    drop(connection);
    ground.left().unwrap();
}

#[test]
fn bodies_that_never_end_hold_up_nobody() {
    // More than the upstream takes as streams of one connection: what comes then needs another one.
    let ground = Ground::new().unwrap();
    let authority = ground.target.authority();
    let slow: Vec<_> = (0..250)
        .map(|_| {
            let mut stream = ground.target.tcp().unwrap();
            let head = format!("POST https://{authority}/mirror HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 100\r\n\r\nonly some");
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    others_are_served(&ground);
    drop(slow);
    ground.left().unwrap();
}

#[test]
fn heads_that_never_end_hold_up_nobody() {
    let ground = Ground::new().unwrap();
    let slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = ground.target.tcp().unwrap();
            stream.write_all(b"GET https://api.test/hello HTTP/1.1\r\nHost: api.te").unwrap();
            stream
        })
        .collect();
    others_are_served(&ground);
    drop(slow);
    ground.left().unwrap();
}

/// What nobody can know the destination of yet holds a place, and nothing else.
#[test]
fn captured_connections_that_say_nothing_hold_up_nobody() {
    let ground = Ground::new().unwrap();
    let slow: Vec<_> = (0..200)
        .map(|number| {
            let mut stream = ground.target.captured().unwrap();
            // Nothing, a record of TLS that does not come, half a word.
            let begun: &[u8] = [&b""[..], b"\x16\x03\x01\x02\0", b"GE"][number % 3];
            stream.write_all(begun).unwrap();
            stream
        })
        .collect();
    others_are_served(&ground);
    drop(slow);
    ground.left().unwrap();
}

#[test]
fn a_policy_that_is_a_bomb_is_refused_and_the_last_good_one_stays() {
    let ground = Ground::new().unwrap();
    let aliases: String = (1..30).map(|n| format!("  a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(9))).collect();
    let bombs = [
        format!("version: 1\nworkloads:\n  a0: &a0 [x]\n{aliases}"),
        format!("version: 1\nrules: {}", "[".repeat(100_000)),
        "version: 1\nrules:\n  a: !!python/object/apply:os.system [id]\n".to_owned(),
        "version: 1\nversion: 1\n".to_owned(),
    ];
    for bomb in bombs {
        assert!(ground.proxy.reload(&bomb).is_err(), "{}", bomb.chars().take(60).collect::<String>());
        others_are_served(&ground);
    }
    ground.left().unwrap();
}
