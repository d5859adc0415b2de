//! Who calls is what the kernel says, never what the caller says.

use keygress_tests::client::{bare, output};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};

use crate::world::{World, policy, rule};

/// A world whose rule is for the workload `app`: a process of this user.
fn world_of(user: &str) -> World {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let key = canary().unwrap();
    let rules = rule(echo.port).replace("from: any", "from: [app]");
    let text =
        policy(&site, &key, &rules).replace("version: 1\n", &format!("version: 1\nworkloads:\n  app: {{ process: {{ user: {user} }} }}\n"));
    let proxy = Proxy::start(&site, &text).unwrap();
    World { echo, key, proxy, site }
}

#[test]
fn a_process_is_known_by_its_user_over_tcp_and_unix_sockets() {
    let me = output(bare("id").arg("-un")).unwrap();
    let world = world_of(me.trim());
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    let socket = world.proxy.socket().display().to_string();
    assert_eq!(world.plain_curl(&["--unix-socket", &socket, "http://localhost/echo.test/hello"]).0.status, 200);
    world.injected(2);
}

#[test]
fn a_process_of_another_user_is_refused_whatever_it_says() {
    let world = world_of("nobody");
    let route = format!("http://{}/echo.test/hello", world.proxy.address());
    let socket = world.proxy.socket().display().to_string();
    for claim in ["X-Forwarded-User: nobody", "X-Remote-User: nobody"] {
        world.plain_curl(&["--header", claim, &route]).0.is_denied().unwrap();
        world.plain_curl(&["--unix-socket", &socket, "--header", claim, "http://localhost/echo.test/hello"]).0.is_denied().unwrap();
    }
    world.injected(0);
}
