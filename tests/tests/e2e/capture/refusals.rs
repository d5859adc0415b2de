use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use keygress_tests::alone::{ADDRESS, alone};
use keygress_tests::client::{curl_reply, output};
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::Site;
use keygress_tests::tools;

use super::{Captured, listener};

/// TLS without a server name, to where `echo.test` leads; prints what came of it.
const NAMELESS: &str = "
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as plain:
        with context.wrap_socket(plain) as secured:
            secured.sendall(b'GET /hello HTTP/1.1\\r\\nHost: ' + sys.argv[3].encode() + b'\\r\\nConnection: close\\r\\n\\r\\n')
            print(secured.recv(4096).split(b'\\r\\n')[0].decode())
except OSError as error:
    print(error)
";

fn nameless(address: &str, port: u16, host: &str) -> String {
    let mut python = keygress_tests::client::bare(tools::python().unwrap());
    output(python.args(["-c", NAMELESS, address, &port.to_string(), host])).unwrap()
}

#[test]
fn a_host_that_no_rule_names_is_refused_before_any_leaf() {
    alone("capture::refusals::a_host_that_no_rule_names_is_refused_before_any_leaf", || {
        let world = Captured::new("any", "");
        let error = curl_reply(world.curl_command().arg(format!("https://other.test:{}/hello", world.echo.port))).unwrap_err().to_string();
        assert!(error.contains("access denied"), "{error}");
        let record = world.proxy.await_record("unknown_destination").unwrap();
        assert!(record.contains("other.test") && record.contains("\"transparent\""), "{record}");
        world.injected(0);
    })
    .unwrap();
}

#[test]
fn another_port_of_the_same_host_is_another_destination() {
    alone("capture::refusals::another_port_of_the_same_host_is_another_destination", || {
        let world = Captured::new("any", "");
        assert!(curl_reply(world.curl_command().arg("https://echo.test:444/hello")).is_err());
        assert!(world.proxy.await_record("unknown_destination").is_some());
        world.injected(0);
    })
    .unwrap();
}

#[test]
fn what_is_asked_inside_must_be_what_the_server_name_said() {
    alone("capture::refusals::what_is_asked_inside_must_be_what_the_server_name_said", || {
        let world = Captured::new("any", "");
        let host = format!("Host: other.test:{}", world.echo.port);
        assert_eq!(world.curl(&["--http1.1", "--header", &host, &world.url("/hello")]).0.status, 421);
        world.injected(0);
    })
    .unwrap();
}

#[test]
fn plain_requests_are_for_what_the_policy_says_and_where_they_were_dialled() {
    alone("capture::refusals::plain_requests_are_for_what_the_policy_says_and_where_they_were_dialled", || {
        let (site, echo) = (Site::new().unwrap(), Echo::plain().unwrap());
        let rule =
            crate::world::rule(echo.port).replace("https://", "http://").replace("    allow:", "    unsafe_plaintext: true\n    allow:");
        let world = Captured::around(site, echo, &rule);
        let url = |path: &str| format!("http://echo.test:{}{path}", world.echo.port);
        assert_eq!(world.curl(&[&url("/hello")]).0.status, 200);
        world.curl(&[&url("/forbidden")]).0.is_denied().unwrap();
        // The Host field selects; it never leads elsewhere than the connection, nor to what no rule names.
        assert_eq!(world.curl(&["--header", "Host: echo.test:9", &url("/hello")]).0.status, 421);
        assert_eq!(world.curl(&["--header", "Host: 192.0.2.99", &url("/hello")]).0.status, 421);
        world.curl(&["--header", &format!("Host: other.test:{}", world.echo.port), &url("/hello")]).0.is_denied().unwrap();
        // Whatever the name led the client to, keygress dials what it resolves itself.
        let elsewhere = format!("echo.test:{}:192.0.2.77", world.echo.port);
        assert_eq!(world.curl(&["--resolve", &elsewhere, &url("/hello")]).0.status, 200);
        // An explicit proxy is not what was dialled.
        let proxy = format!("http://echo.test:{}", world.echo.port);
        assert!(curl_reply(world.curl_command().args(["--proxy", &proxy, "https://echo.test/hello"])).is_err());
        assert!(world.proxy.await_record("CONNECT is refused").is_some());
        world.injected(2);
    })
    .unwrap();
}

#[test]
fn what_was_dialled_to_the_listener_itself_is_refused() {
    alone("capture::refusals::what_was_dialled_to_the_listener_itself_is_refused", || {
        let world = Captured::new("any", "");
        let host = format!("Host: echo.test:{}", world.echo.port);
        let reply = world.curl(&["--header", &host, &format!("http://{}/hello", listener())]).0;
        assert_eq!(reply.status, 421, "{reply:?}");
        assert!(world.proxy.await_record("this one was dialled to it").is_some());
        let connect_to = format!("echo.test:{}:{}", world.echo.port, listener());
        assert!(curl_reply(world.curl_command().args(["--connect-to", &connect_to, &world.url("/hello")])).is_err());
        world.injected(0);
    })
    .unwrap();
}

#[test]
fn without_a_server_name_only_an_address_passes_that_a_rule_passes_whole() {
    tools::python().unwrap();
    alone("capture::refusals::without_a_server_name_only_an_address_passes_that_a_rule_passes_whole", || {
        let upstream = TcpListener::bind((ADDRESS, 0)).unwrap();
        let port = upstream.local_addr().unwrap().port();
        let rule = format!("  whole:\n    to: https://{ADDRESS}:{port}\n");
        let world = Captured::new("any", &rule);
        let host = format!("echo.test:{}", world.echo.port);
        assert!(nameless("192.0.2.10", world.echo.port, &host).contains("access denied"));
        assert!(world.proxy.await_record("unknown_destination").unwrap().contains("192.0.2.10"));
        world.injected(0);

        // Bytes of no protocol that keygress knows, both ways.
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = upstream.accept().unwrap();
            let mut greeting = [0; 5];
            stream.read_exact(&mut greeting).unwrap();
            stream.write_all(b"and you").unwrap();
            greeting
        });
        let mut stream = TcpStream::connect((ADDRESS, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(b"hi 2U").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!((answer.as_str(), &answering.join().unwrap()), ("and you", b"hi 2U"));
        let mut refused = TcpStream::connect((ADDRESS, port.wrapping_add(1).max(1024))).unwrap();
        refused.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        refused.write_all(b"hi 2U").unwrap();
        assert_eq!(refused.read_to_string(&mut answer).unwrap_or_default(), 0);
    })
    .unwrap();
}

#[test]
fn an_address_with_a_constrained_rule_does_not_pass_without_a_name() {
    tools::python().unwrap();
    alone("capture::refusals::an_address_with_a_constrained_rule_does_not_pass_without_a_name", || {
        let world = Captured::new("any", "  one:\n    from: any\n    to: https://192.0.2.10:444\n    allow: [GET /hello]\n");
        assert!(nameless("192.0.2.10", 444, "192.0.2.10:444").contains("access denied"));
        assert!(world.proxy.await_record("a rule names its address and nothing else").is_some());
    })
    .unwrap();
}
