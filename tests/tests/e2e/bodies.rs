//! Bodies, both ways, and what HTTP says around them: over each version on either side.

use keygress_tests::client::output;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::Site;

use crate::world::World;

const VERSIONS: [&str; 2] = ["--http1.1", "--http2"];

#[test]
fn an_upstream_that_speaks_http1_alone_serves_clients_of_both_versions() {
    let site = Site::new().unwrap();
    let echo = Echo::http1(&site, "echo.test").unwrap();
    let world = World::around(site, echo);
    for version in VERSIONS {
        assert_eq!(world.curl(&[version, &world.url("/hello")]).0.body, "hello\n");
    }
    world.injected(2);
    assert!(world.echo.seen().iter().all(|seen| seen.version == http::Version::HTTP_11));
    assert_eq!(world.echo.seen()[1].values("host"), [format!("echo.test:{}", world.echo.port)]);
}

#[test]
fn eight_megabytes_come_back_as_they_went() {
    let world = World::new();
    let bytes: Vec<u8> = (0..8_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (sent, received) = (world.site.folder().join("sent"), world.site.folder().join("received"));
    std::fs::write(&sent, &bytes).unwrap();
    for version in VERSIONS {
        let mut curl = world.curl_command();
        curl.args([version, "--data-binary", &format!("@{}", sent.display()), "--output"]).arg(&received).arg(world.url("/mirror"));
        output(&mut curl).unwrap();
        assert!(std::fs::read(&received).unwrap() == bytes, "{version}");
    }
    world.injected(2);
}

#[test]
fn a_client_that_waits_is_told_to_continue() {
    let world = World::new();
    let mut curl = world.curl_command();
    curl.args([
        "--http1.1",
        "--verbose",
        "--stderr",
        "-",
        "--expect100-timeout",
        "15",
        "--header",
        "Expect: 100-continue",
        "--data",
        "abc",
    ]);
    let printed = output(curl.arg(world.url("/mirror"))).unwrap();
    assert!(printed.contains("< HTTP/1.1 100 Continue") && printed.contains("abc"), "{printed}");
    world.injected(1);
}

#[test]
fn a_head_has_no_body_and_a_304_neither() {
    let world = World::new();
    for version in VERSIONS {
        let (reply, _) = world.curl(&[version, "--head", &world.url("/hello")]);
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.body.contains("content-length: 6"), "{reply:?}");
        // A refusal of a HEAD has no body either.
        assert_eq!(world.curl(&[version, "--head", &world.url("/forbidden")]).0.status, 403);
        assert_eq!(world.curl(&[version, &world.url("/status/304")]).0.status, 304);
    }
    world.injected(4);
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    let world = World::new();
    for version in VERSIONS {
        let mut curl = world.curl_command();
        assert!(output(curl.args([version, &world.url("/broken")])).is_err(), "{version}");
    }
    world.injected(2);
}
