//! Every way in, with curl: what is allowed carries the credential, its deny twin is refused and never arrives.

use keygress_tests::client::{curl_reply, output};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::servers::nginx::Nginx;
use keygress_tests::site::{Site, canary};

use crate::world::{World, policy};

#[test]
fn connect_over_http1_is_intercepted() {
    let world = World::new();
    let (reply, version) = world.curl(&["--http1.1", &world.url("/hello?page=2")]);
    assert_eq!((reply.status, reply.body.as_str(), version.as_str()), (200, "hello\n", "1.1"));
    world.curl(&["--http1.1", &world.url("/forbidden")]).0.is_denied().unwrap();
    world.injected(1);
    assert_eq!(world.echo.seen()[0].target, "/hello?page=2");
}

#[test]
fn connect_over_http2_is_intercepted() {
    let world = World::new();
    let (reply, version) = world.curl(&["--http2", &world.url("/hello/a/b")]);
    assert_eq!((reply.status, version.as_str()), (200, "2"));
    world.curl(&["--http2", &world.url("/hello/but/not/this")]).0.is_denied().unwrap();
    world.injected(1);
}

#[test]
fn another_method_is_refused() {
    let world = World::new();
    world.curl(&["--request", "DELETE", &world.url("/hello")]).0.is_denied().unwrap();
    world.curl(&["--data", "x", &world.url("/hello")]).0.is_denied().unwrap();
    world.injected(0);
}

#[test]
fn a_destination_that_no_rule_names_is_refused_before_any_tunnel() {
    let world = World::new();
    let error = curl_reply(world.curl_command().arg("https://other.test/")).unwrap_err().to_string();
    assert!(error.contains("403"), "{error}");
    world.injected(0);
}

#[test]
fn another_port_of_the_same_host_is_another_destination() {
    let world = World::new();
    let elsewhere = Echo::start(&world.site, "echo.test").unwrap();
    let url = format!("https://echo.test:{}/hello", elsewhere.port);
    assert!(curl_reply(world.curl_command().arg(url)).unwrap_err().to_string().contains("403"));
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn a_route_carries_the_credential() {
    let world = World::new();
    let base = format!("http://{}/echo.test", world.proxy.address());
    let (reply, _) = world.plain_curl(&[&format!("{base}/hello?page=2")]);
    assert_eq!((reply.status, reply.body.as_str()), (200, "hello\n"));
    world.plain_curl(&[&format!("{base}/forbidden")]).0.is_denied().unwrap();
    world.injected(1);
    assert_eq!(world.echo.seen()[0].target, "/hello?page=2");
    assert!(!format!("{:?}", world.echo.seen()).contains(&world.proxy.address().to_string()));
}

#[test]
fn a_unix_socket_is_a_way_in() {
    let world = World::new();
    let socket = world.proxy.socket().display().to_string();
    let (reply, _) = world.plain_curl(&["--unix-socket", &socket, "http://localhost/echo.test/hello"]);
    assert_eq!(reply.status, 200, "{reply:?}");
    world.plain_curl(&["--unix-socket", &socket, "http://localhost/echo.test/forbidden"]).0.is_denied().unwrap();
    world.injected(1);
}

#[test]
fn absolute_form_reaches_a_plaintext_upstream_only_where_the_rule_says_so() {
    let site = Site::new().unwrap();
    let (safe, unsafe_one) = (Echo::plain().unwrap(), Echo::plain().unwrap());
    let rules = format!(
        "  plain:
    from: any
    to: http://echo.test:{}
    unsafe_plaintext: true
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello]
    credential: key
",
        unsafe_one.port
    );
    let key = canary().unwrap();
    let proxy = Proxy::start(&site, &policy(&site, &key, &rules)).unwrap();
    let curl = |url: String| {
        let mut command = proxy.client(keygress_tests::tools::program("curl").unwrap());
        curl_reply(command.args(["--silent", "--show-error", "--max-time", "60", &url])).unwrap().0
    };
    assert_eq!(curl(format!("http://echo.test:{}/hello", unsafe_one.port)).status, 200);
    curl(format!("http://echo.test:{}/forbidden", unsafe_one.port)).is_denied().unwrap();
    curl(format!("http://echo.test:{}/hello", safe.port)).is_denied().unwrap();
    assert_eq!(unsafe_one.seen().len(), 1);
    assert_eq!(unsafe_one.seen()[0].values("authorization"), [format!("Bearer {key}")]);
    assert!(safe.seen().is_empty());
}

#[test]
fn a_host_that_passes_by_name_alone_is_tunnelled_blind() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "pass.test").unwrap();
    let policy = format!("version: 1\nrules:\n  pass:\n    to: https://pass.test:{}\n    allow_ips: [127.0.0.0/8]\n", echo.port);
    let proxy = Proxy::start(&site, &policy).unwrap();
    let mut command = proxy.client(keygress_tests::tools::program("curl").unwrap());
    // The upstream's own certificate arrives: nobody stands between.
    command.args(["--silent", "--show-error", "--max-time", "60", "--cacert"]).arg(site.upstream_ca());
    let own = "Authorization: Bearer own-key-of-the-application";
    let (reply, _) = curl_reply(command.args(["--header", own, &format!("https://pass.test:{}/hello", echo.port)])).unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(echo.seen()[0].values("authorization"), ["Bearer own-key-of-the-application"]);
}

#[test]
fn nginx_accepts_what_keygress_injects() {
    let site = Site::new().unwrap();
    let key = canary().unwrap();
    let nginx = Nginx::guarding(&site, "echo.test", &format!("Bearer {key}")).unwrap();
    let rules = format!(
        "  nginx:\n    from: any\n    to: https://echo.test:{}\n    allow_ips: [127.0.0.0/8]\n    allow: [GET /]\n    credential: key\n",
        nginx.port
    );
    let proxy = Proxy::start(&site, &policy(&site, &key, &rules)).unwrap();
    for version in ["--http1.1", "--http2"] {
        let mut command = proxy.client(keygress_tests::tools::program("curl").unwrap());
        let url = format!("https://echo.test:{}/", nginx.port);
        let printed = output(command.args(["--silent", "--max-time", "60", version, "--user", "own:password", &url])).unwrap();
        assert!(printed.starts_with("injected HTTP/"), "{printed}");
    }
}
