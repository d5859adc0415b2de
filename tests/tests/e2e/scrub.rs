//! What comes back does not hold the credential: an upstream repeats it in every form, coding and part of an answer.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use keygress_tests::client::{Reply, bare, curl_reply, output};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::parrot::{CODINGS, FORMS, Parrot, written};
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

use crate::world::{World, policy};

const VERSIONS: [&str; 2] = ["--http1.1", "--http2"];

struct Ground {
    parrot: Parrot,
    proxy: Proxy,
    key: String,
    site: Site,
}

impl Ground {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let parrot = Parrot::start(&site, "echo.test").unwrap();
        Self::around(site, parrot, "", &canary().unwrap())
    }

    fn around(site: Site, parrot: Parrot, keys: &str, key: &str) -> Self {
        let proxy = Proxy::start(&site, &policy(&site, key, &rule(parrot.port, keys))).unwrap();
        Self { parrot, proxy, key: key.to_owned(), site }
    }

    fn url(&self, path: &str) -> String {
        format!("https://echo.test:{}{path}", self.parrot.port)
    }

    /// What curl shows of an answer, head and trailers included.
    fn shown(&self, version: &str, path: &str, more: &[&str]) -> String {
        let mut curl = self.proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60", "--include", "--suppress-connect-headers", version]);
        output(curl.args(more).arg(self.url(path))).unwrap()
    }

    fn reply(&self, version: &str, path: &str) -> anyhow::Result<Reply> {
        let mut curl = self.proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60", version, &self.url(path)]);
        curl_reply(&mut curl).map(|(reply, _)| reply)
    }

    /// Stops the proxy, and says what it wrote of this activity.
    fn records(&mut self, activity: &str) -> Vec<serde_json::Value> {
        self.proxy.stop();
        self.proxy.records().unwrap().into_iter().filter(|record| record["activity"] == activity).collect()
    }

    fn counts(&self, series: &str) {
        assert!(self.proxy.metrics().lines().any(|line| line == series), "no `{series}` in\n{}", self.proxy.metrics());
    }
}

fn rule(port: u16, keys: &str) -> String {
    format!(
        "  echo:\n    from: any\n    to: https://echo.test:{port}\n    allow_ips: [127.0.0.0/8]\n    allow: [GET /**, HEAD /**]\n    credential: key\n{keys}"
    )
}

fn body(shown: &str) -> &str {
    shown.split_once("\r\n\r\n").map_or("", |(_, rest)| rest)
}

/// Every form over both versions on both sides, and cut into single bytes.
fn every_form(mut ground: Ground) {
    for form in FORMS {
        let written = written(&ground.key, form).unwrap();
        for (version, cut) in [(VERSIONS[0], 0), (VERSIONS[0], 1), (VERSIONS[1], 5)] {
            let shown = ground.shown(version, &format!("/repeat/{form}/identity/{cut}"), &["--header", "TE: trailers"]);
            assert!(!shown.contains(&written) && !shown.contains(&ground.key), "{form} {version}: {shown}");
            // At equal length, and nothing around it is touched.
            let body = body(&shown).lines().next().unwrap();
            assert_eq!(body.len(), "before  after".len() + written.len(), "{form} {version}: {shown}");
            assert!(body.starts_with("before ") && body.ends_with(" after"), "{form} {version}: {shown}");
            if !form.starts_with("base64") {
                assert!(shown.contains(&format!("before {} after\n", "*".repeat(written.len()))), "{form} {version}: {shown}");
                assert!(shown.contains(&format!("x-echo: {}\r\n", "*".repeat(written.len()))), "{form} {version}: {shown}");
            }
            if version == "--http2" {
                assert!(shown.contains("x-last: ") && shown.contains("grpc-message: no%20") && shown.contains("%21"), "trailers: {shown}");
            }
        }
    }
    let scrubbed = ground.records("scrubbed");
    assert_eq!(scrubbed.len(), FORMS.len() * 3);
    assert!(scrubbed.iter().all(|record| record["keygress"]["rule"] == "echo" && record["keygress"]["credential"] == "key"));
    // The header, the body, and two trailers.
    assert!(scrubbed.iter().all(|record| record["keygress"]["masked"].as_u64() == Some(4)), "{scrubbed:?}");
    ground.counts(&format!(r#"keygress_scrubs_total{{credential="key",result="masked"}} {}"#, FORMS.len() * 3));
    assert!(!ground.proxy.record_lines().concat().contains(&ground.key));
}

#[test]
fn every_form_is_masked_in_head_body_and_trailers() {
    every_form(Ground::new());
}

#[test]
fn every_form_is_masked_where_the_upstream_speaks_http1_alone() {
    let site = Site::new().unwrap();
    let parrot = Parrot::http1(&site, "echo.test").unwrap();
    every_form(Ground::around(site, parrot, "", &canary().unwrap()));
}

#[test]
fn codings_are_taken_off_and_what_is_in_them_is_masked() {
    let ground = Ground::new();
    let masked = format!("before {} after\n", "*".repeat(ground.key.len()));
    for coding in CODINGS.iter().filter(|coding| **coding != "identity") {
        for (version, cut) in [(VERSIONS[0], 0), (VERSIONS[0], 1), (VERSIONS[1], 7)] {
            let shown = ground.shown(version, &format!("/repeat/raw/{coding}/{cut}"), &[]).to_ascii_lowercase();
            assert!(shown.contains(&masked), "{coding} {version}: {shown}");
            assert!(!shown.contains("content-encoding") && !shown.contains("content-length"), "{coding} {version}: {shown}");
            assert!(!shown.contains("accept-ranges") && shown.contains("vary: accept-encoding\r\n"), "{coding} {version}: {shown}");
            assert!(shown.contains("etag: w/\"abc\"\r\n"), "{coding} {version}: {shown}");
        }
        // The head alone says the same.
        let shown = ground.shown("--http1.1", &format!("/repeat/raw/{coding}/0"), &["--head"]).to_ascii_lowercase();
        assert!(!shown.contains("content-encoding") && !shown.contains("content-length"), "{coding}: {shown}");
    }
    let plain = ground.shown("--http1.1", "/repeat/raw/identity/0", &[]).to_ascii_lowercase();
    assert!(plain.contains("etag: \"abc\"\r\n"), "{plain}");
}

#[test]
fn only_what_can_be_searched_is_asked_for() {
    let ground = Ground::new();
    let more = ["--range", "0-9", "--header", "Accept-Encoding: gzip, dcb;q=0.9, br", "--header", "If-Range: \"abc\""];
    let asked = ground.shown("--http1.1", "/asked", &more);
    assert!(asked.contains(r#""accept-encoding": "gzip, br""#) && !asked.contains("range\""), "{asked}");
}

#[test]
fn a_bomb_is_broken_off() {
    let mut ground = Ground::new();
    for coding in ["gzip", "deflate", "br", "zstd"] {
        for version in VERSIONS {
            assert!(ground.reply(version, &format!("/bomb/{coding}")).is_err(), "{coding} {version}");
        }
    }
    let scrubbed = ground.records("scrubbed");
    assert_eq!(scrubbed.len(), 8);
    assert!(scrubbed.iter().all(|record| record["keygress"]["code"] == "unscrubbable"), "{scrubbed:?}");
    ground.counts(r#"keygress_scrubs_total{credential="key",result="broken_off"} 8"#);
}

#[test]
fn a_coding_that_ends_too_early_does_not_look_whole() {
    let ground = Ground::new();
    for coding in ["gzip", "deflate", "br", "zstd"] {
        for version in VERSIONS {
            assert!(ground.reply(version, &format!("/cut-off/{coding}")).is_err(), "{coding} {version}");
        }
    }
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let mut ground = Ground::new();
    let paths = ["/strange?compress", "/strange?gzip,%20br", "/strange?aws-chunked", "/range"];
    for path in paths {
        let shown = ground.shown("--http1.1", path, &[]);
        assert!(shown.starts_with("HTTP/1.1 502 ") && shown.contains("x-keygress-refusal: unscrubbable\r\n"), "{path}: {shown}");
        assert!(!shown.contains(&ground.key), "{path}: {shown}");
    }
    let used: Vec<_> = ground.records("used");
    assert_eq!(used.len(), paths.len());
    assert!(used.iter().all(|record| record["keygress"]["code"] == "unscrubbable" && record["status_code"] == 502), "{used:?}");
    ground.counts(&format!(r#"keygress_requests_total{{code="unscrubbable",outcome="failed"}} {}"#, paths.len()));
}

#[test]
fn a_reason_phrase_is_the_standard_one() {
    let site = Site::new().unwrap();
    let parrot = Parrot::http1(&site, "echo.test").unwrap();
    let ground = Ground::around(site, parrot, "", &canary().unwrap());
    let shown = ground.shown("--http1.1", "/phrase", &[]);
    assert!(shown.starts_with("HTTP/1.1 200 OK\r\n") && shown.ends_with("\r\n\r\nphrase\n"), "{shown}");
}

/// Reads lines of an answer until one holds this.
fn read_until(answer: &mut impl BufRead, part: &str) -> String {
    let mut read = String::new();
    while !read.contains(part) {
        assert!(answer.read_line(&mut read).unwrap() > 0, "ended without `{part}`: {read}");
    }
    read
}

#[test]
fn an_event_arrives_before_the_next_is_sent() {
    let ground = Ground::new();
    let mut stream = TcpStream::connect(ground.proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /echo.test:{}/events HTTP/1.1\r\nHost: localhost\r\n\r\n", ground.parrot.port).unwrap();
    let mut answer = BufReader::new(stream);
    // The upstream sends nothing more until it is asked for the next.
    read_until(&mut answer, "data: first\n\n");
    ground.reply("--http1.1", "/next").unwrap();
    let rest = read_until(&mut answer, "\r\n0\r\n");
    let text: String = rest.lines().filter(|line| u64::from_str_radix(line.trim(), 16).is_err()).collect();
    assert!(text.contains(&format!("data: second {}", "*".repeat(ground.key.len()))), "{rest}");
}

#[test]
fn messages_of_a_websocket_are_masked_and_go_on_at_once() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    let mut world = World::new();
    let (key, port) = (world.key.clone(), world.echo.port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(world.proxy.address()).await.unwrap();
        let url = format!("ws://{}/echo.test:{port}/ws", world.proxy.address());
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        // The upstream sends each message back; here it is the caller who knows the key.
        let stars = "*".repeat(key.len());
        for (said, heard) in
            [("hello", "hello".to_owned()), (&*format!("it is {key}."), format!("it is {stars}.")), (&key[..9], key[..9].to_owned())]
        {
            socket.send(Message::text(said)).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(heard));
        }
        socket.send(Message::binary(key.clone().into_bytes())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::binary(stars.into_bytes()));
        socket.close(None).await.unwrap();
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
    });
    assert!(world.echo.seen()[0].values("sec-websocket-extensions").is_empty());
    world.proxy.stop();
    let records = world.proxy.records().unwrap();
    let scrubbed: Vec<_> = records.iter().filter(|record| record["activity"] == "scrubbed").collect();
    assert!(scrubbed.len() == 1 && scrubbed[0]["keygress"]["masked"] == 2, "{scrubbed:?}");
}

#[test]
fn after_a_renewal_the_old_value_is_masked_too() {
    let site = Site::new().unwrap();
    let parrot = Parrot::start(&site, "echo.test").unwrap();
    let (old, new) = (canary().unwrap(), canary().unwrap());
    let [now, next] = [("now", &old), ("next", &new)].map(|(name, key)| site.write_secret(name, &format!("{key}\n")).unwrap());
    let (now, next) = (now.display(), next.display());
    let script = format!("read -r token < {now}\nprintf '{{\"token\":\"%s\",\"expires_in\":3600}}' \"$token\"\n/bin/cp {next} {now}\n");
    let script = site.write("mint.sh", &script).unwrap();
    let rules = rule(parrot.port, "");
    let policy = format!(
        "version: 1\ncredentials:\n  key:\n    owner: tests@example.com\n    source: {{ exec: {{ command: [/bin/sh, {}] }} }}\n    inject: bearer\n    \
         only_to: [echo.test]\nrules:\n{rules}",
        script.display()
    );
    let proxy = Proxy::start(&site, &policy).unwrap();
    let ground = Ground { parrot, proxy, key: old.clone(), site };
    let shown = ground.shown("--http1.1", "/stale", &[]);
    let stars = "*".repeat(old.len());
    assert!(body(&shown) == format!("old {stars} new {stars}\n") && !shown.contains(&new), "{shown}");
}

#[test]
fn a_rule_may_let_bodies_pass_and_each_use_says_so() {
    let site = Site::new().unwrap();
    let parrot = Parrot::start(&site, "echo.test").unwrap();
    let mut ground = Ground::around(site, parrot, "    unsafe_unscrubbed_body: true\n", &canary().unwrap());
    let shown = ground.shown("--http2", "/repeat/raw/identity/0", &["--header", "TE: trailers"]);
    let stars = "*".repeat(ground.key.len());
    assert!(shown.contains(&format!("before {} after\n", ground.key)), "{shown}");
    assert!(shown.contains(&format!("x-echo: {stars}\r\n")) && shown.contains(&format!("x-last: {stars}\r\n")), "{shown}");
    assert!(ground.shown("--http1.1", "/strange?compress", &[]).starts_with("HTTP/1.1 200 "));
    assert!(ground.shown("--http1.1", "/asked", &["--range", "0-9"]).contains("\"range\": \"bytes=0-9\""));
    let used = ground.records("used");
    assert!(used.len() == 3 && used.iter().all(|record| record["keygress"]["unscrubbed"] == true), "{used:?}");
    // Without the key nothing of the sort is on record.
    let mut ground = Ground::new();
    ground.reply("--http1.1", "/asked").unwrap();
    assert!(ground.records("used")[0]["keygress"]["unscrubbed"].is_null());
}

#[test]
fn a_value_too_short_to_be_searched_for_is_not_put_on() {
    for (keys, status) in [("", 503), ("    unsafe_unscrubbed_body: true\n", 200)] {
        let site = Site::new().unwrap();
        let parrot = Parrot::start(&site, "echo.test").unwrap();
        let ground = Ground::around(site, parrot, keys, "7 bytes".replace(' ', "-").as_str());
        let reply = ground.reply("--http1.1", "/asked").unwrap();
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.body.contains("shorter than 8 bytes"), status == 503, "{reply:?}");
    }
}

#[test]
fn the_parrot_repeats_what_it_is_sent() {
    let ground = Ground::new();
    let (site, port) = (&ground.site, ground.parrot.port);
    let mut curl = bare(tools::program("curl").unwrap());
    curl.args(["--silent", "--show-error", "--max-time", "60", "--resolve", &format!("echo.test:{port}:127.0.0.1"), "--cacert"]);
    curl.arg(site.upstream_ca()).args(["--header", "Authorization: Bearer some-key", "--include"]);
    let shown = output(curl.arg(ground.url("/repeat/raw/identity/3"))).unwrap();
    assert!(
        shown.contains("before some-key after\n")
            && shown.contains("x-echo: some-key\r\n")
            && shown.contains("grpc-message: no%20some-key%21"),
        "{shown}"
    );
}
