//! The clients that applications are made of, as their users find them: proxy and CA from the environment, or a base-URL route.

use keygress_tests::client::{Reply, bare, output, replies};
use keygress_tests::tools;

use crate::world::World;

/// The script of a client, below `tests/clients`.
fn script(name: &str) -> std::path::PathBuf {
    tools::root().join("tests/clients").join(name)
}

fn python(world: &World, name: &str, arguments: &[&str]) -> Vec<Reply> {
    replies(world.proxy.client(tools::python().unwrap()).arg(script(name)).args(arguments)).unwrap()
}

fn allowed_and_denied(world: &World, replies: &[Reply]) {
    assert_eq!(replies.len(), 2);
    assert_eq!((replies[0].status, replies[0].body.as_str()), (200, "hello\n"));
    replies[1].is_denied().unwrap();
    world.injected(1);
}

#[test]
fn python_requests() {
    let world = World::new();
    allowed_and_denied(&world, &python(&world, "requests_client.py", &[&world.url("/hello"), &world.url("/forbidden")]));
}

#[test]
fn python_httpx_over_http2() {
    let world = World::new();
    allowed_and_denied(&world, &python(&world, "httpx_client.py", &["get", &world.url("/hello"), &world.url("/forbidden")]));
    assert_eq!(world.echo.seen()[0].version, http::Version::HTTP_2);
}

#[test]
fn server_sent_events_pass_one_by_one() {
    let world = World::new();
    let replies = python(&world, "httpx_client.py", &["events", &world.url("")]);
    assert_eq!((replies[0].status, replies[0].body.as_str()), (200, "first second"));
    world.injected(2);
}

#[test]
fn an_upload_passes_piece_by_piece() {
    let world = World::new();
    let replies = python(&world, "httpx_client.py", &["upload", &world.url("")]);
    assert_eq!(replies[0].status, 200);
    // The questions for progress are not remembered.
    world.injected(1);
    assert_eq!(world.echo.seen()[0].body_bytes, 1500);
}

#[test]
fn web_socket() {
    let world = World::new();
    let echo = world.url("/ws").replace("https://", "wss://");
    let replies = python(&world, "websocket_client.py", &[&echo, &world.url("/forbidden").replace("https://", "wss://")]);
    assert_eq!((replies[0].status, replies[0].body.as_str()), (101, "[True, True, True]"));
    replies[1].is_denied().unwrap();
    world.injected(1);
}

#[test]
fn node_fetch_through_a_route() {
    let world = World::new();
    let base = format!("http://{}/echo.test", world.proxy.address());
    let mut node = bare(tools::node().unwrap());
    let replies = replies(node.arg(script("fetch.mjs")).args([format!("{base}/hello"), format!("{base}/forbidden")])).unwrap();
    allowed_and_denied(&world, &replies);
}

#[test]
fn go_net_http() {
    let world = World::new();
    let program = world.site.folder().join("go-client");
    let mut go = bare(tools::program("go").unwrap());
    go.arg("build").arg("-o").arg(&program).arg(".").current_dir(script("go"));
    output(go.envs([("GOFLAGS", "-mod=mod"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")])).unwrap();
    let replies = replies(world.proxy.client(program).args([world.url("/hello"), world.url("/forbidden")])).unwrap();
    allowed_and_denied(&world, &replies);
    assert_eq!(world.echo.seen()[0].version, http::Version::HTTP_2);
}
