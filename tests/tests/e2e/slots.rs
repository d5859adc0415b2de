//! Slots that are no header: a cookie, a segment of the path, a field of the body.

use keygress_tests::client::{Reply, curl_reply};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::{Echo, only};
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

struct World {
    echo: Echo,
    key: String,
    proxy: Proxy,
    /// Its folder holds the CA that curl trusts.
    _site: Site,
}

impl World {
    /// One static token, put on `echo.test` in this way.
    fn new(inject: &str) -> Self {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "echo.test").unwrap();
        let key = canary().unwrap();
        let file = site.write_secret("key", &key).unwrap();
        let policy = format!(
            "version: 1
credentials:
  key:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: {{ {inject} }}
    only_to: [echo.test]
rules:
  echo:
    from: any
    to: https://echo.test:{}
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello, 'GET /{{bot}}/hello', POST /mirror]
    credential: key
",
            file.display(),
            echo.port
        );
        let proxy = Proxy::start(&site, &policy).unwrap();
        Self { echo, key, proxy, _site: site }
    }

    fn curl(&self, path: &str, arguments: &[&str]) -> Reply {
        let mut curl = self.proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60"]).args(arguments);
        curl_reply(curl.arg(format!("https://echo.test:{}{path}", self.echo.port))).unwrap().0
    }
}

#[test]
fn a_cookie_replaces_all_that_the_application_sent() {
    let world = World::new("cookie: { name: session }");
    assert_eq!(world.curl("/hello", &["--cookie", "session=mine; theme=dark"]).status, 200);
    assert_eq!(only(world.echo.seen()).unwrap().values("cookie"), [format!("session={}", world.key)]);
}

#[test]
fn a_segment_of_the_path_is_replaced_after_the_path_was_matched() {
    let world = World::new("path_segment: { at: 1, value: 'bot{token}' }");
    assert_eq!(world.curl("/bot-mine/hello?a=1", &[]).status, 200);
    assert_eq!(only(world.echo.seen()).unwrap().target, format!("/bot{}/hello?a=1", world.key));
    world.curl("/bot-mine/other", &[]).is_denied().unwrap();
    assert!(!world.proxy.record_lines().join("\n").contains(&world.key));
}

/// What the upstream read comes back; the credential in it may be masked by then, at its own length.
fn came_back(reply: &Reply, before: &str, key: &str, after: &str) {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.body.starts_with(before) && reply.body.ends_with(after), "{reply:?}");
    assert_eq!(reply.body.len(), before.len() + key.len() + after.len(), "{reply:?}");
}

#[test]
fn a_field_of_a_form_is_replaced() {
    let world = World::new("form_field: { key: api_key, body_max: 1KiB }");
    let reply = world.curl("/mirror", &["--data", "api_key=mine&a=%41"]);
    came_back(&reply, "a=%41&api_key=", &world.key, "");
    assert_eq!(world.echo.seen()[0].body_bytes as usize, reply.body.len());
    assert_eq!(world.curl("/mirror", &["--data", &"x".repeat(1025)]).status, 413);
    assert_eq!(world.curl("/mirror", &["--data", "{}", "--header", "content-type: application/json"]).status, 400);
    assert_eq!(world.echo.seen().len(), 1, "what is refused never leaves");
}

#[test]
fn a_field_of_a_json_body_is_replaced() {
    let world = World::new("json_field: { pointer: /auth/token }");
    let json = ["--header", "content-type: application/json", "--data"];
    let post = |body: &str| world.curl("/mirror", &[&json[..], &[body]].concat());
    came_back(&post(r#"{"auth":{"token":"mine"}, "n":1.0}"#), r#"{"auth":{"token":""#, &world.key, r#""}, "n":1.0}"#);
    assert_eq!(post(r#"{"auth":{"token":1,"token":2}}"#).status, 400);
    assert_eq!(world.echo.seen().len(), 1);
}

#[test]
fn a_field_that_must_hold_the_placeholder_refuses_all_others() {
    let world = World::new("json_field: { pointer: /key, existing: require_placeholder }");
    let reply = world.curl("/mirror", &["--header", "content-type: application/json", "--data", r#"{"key":"mine"}"#]);
    reply.is_denied().unwrap();
    assert!(world.echo.seen().is_empty());
}
