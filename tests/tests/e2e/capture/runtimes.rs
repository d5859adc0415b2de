use keygress_tests::alone::alone;
use keygress_tests::client::{Reply, bare, output, replies};
use keygress_tests::tools;

use super::{Captured, script, trust_store};

fn allowed_and_denied(world: &Captured, replies: &[Reply]) {
    assert_eq!(replies.len(), 2);
    assert_eq!((replies[0].status, replies[0].body.as_str()), (200, "hello\n"));
    replies[1].is_denied().unwrap();
    world.injected(1);
}

fn python(test: &str, name: &'static str, task: &'static [&'static str]) {
    tools::python().unwrap();
    alone(test, || {
        let world = Captured::new("any", "");
        let mut python = world.client(tools::python().unwrap());
        python.arg(script(name)).args(task).args([world.url("/hello"), world.url("/forbidden")]);
        allowed_and_denied(&world, &replies(&mut python).unwrap());
    })
    .unwrap();
}

#[test]
fn python_requests() {
    python("capture::runtimes::python_requests", "requests_client.py", &[]);
}

#[test]
fn python_httpx_over_http2() {
    python("capture::runtimes::python_httpx_over_http2", "httpx_client.py", &["get"]);
}

#[test]
fn web_socket() {
    tools::python().unwrap();
    alone("capture::runtimes::web_socket", || {
        let world = Captured::new("any", "");
        let socket = |path: &str| world.url(path).replace("https://", "wss://");
        let mut python = world.client(tools::python().unwrap());
        let replies = replies(python.arg(script("websocket_client.py")).args([socket("/ws"), socket("/forbidden")])).unwrap();
        assert_eq!((replies[0].status, replies[0].body.as_str()), (101, "[True, True, True]"));
        replies[1].is_denied().unwrap();
        world.injected(1);
    })
    .unwrap();
}

#[test]
fn node_fetch() {
    tools::node().unwrap();
    alone("capture::runtimes::node_fetch", || {
        let world = Captured::new("any", "");
        let mut node = world.client(tools::node().unwrap());
        let replies = replies(node.arg(script("fetch.mjs")).args([world.url("/hello"), world.url("/forbidden")])).unwrap();
        allowed_and_denied(&world, &replies);
    })
    .unwrap();
}

#[test]
fn go_net_http() {
    tools::program("go").unwrap();
    alone("capture::runtimes::go_net_http", || {
        let world = Captured::new("any", "");
        let program = world.site.folder().join("go-client");
        let mut go = bare(tools::program("go").unwrap());
        go.arg("build").arg("-o").arg(&program).arg(".").current_dir(script("go"));
        output(go.envs([("GOFLAGS", "-mod=mod"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")])).unwrap();
        let replies = replies(world.client(program).args([world.url("/hello"), world.url("/forbidden")])).unwrap();
        allowed_and_denied(&world, &replies);
        assert_eq!(world.echo.seen()[0].version, http::Version::HTTP_2);
    })
    .unwrap();
}

#[test]
fn java_http_client() {
    tools::program("java").unwrap();
    alone("capture::runtimes::java_http_client", || {
        let world = Captured::new("any", "");
        let store = trust_store(&world.ca(), world.site.folder());
        let mut java = world.client(tools::program("java").unwrap());
        java.arg(format!("-Djavax.net.ssl.trustStore={}", store.display())).arg("-Djavax.net.ssl.trustStorePassword=changeit");
        java.arg(script("JavaClient.java"));
        let replies = replies(java.args([world.url("/hello"), world.url("/forbidden")])).unwrap();
        allowed_and_denied(&world, &replies);
    })
    .unwrap();
}
