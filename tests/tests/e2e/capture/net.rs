use std::net::UdpSocket;
use std::process::Command;

use keygress_tests::alone::{alone, has_other_users};
use keygress_tests::client::{bare, curl_reply, output};
use keygress_tests::proxy::{Proxy, binary};
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

use super::{Captured, MARK};
use crate::world::{policy, rule};

/// Whether a datagram for this port of a remote address is taken by the kernel.
fn datagram_leaves(to: &str) -> bool {
    let socket = UdpSocket::bind(if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" }).unwrap();
    socket.connect(to).unwrap();
    // A refusal by ICMP is told to the next call.
    socket.send(b"hello").is_ok() && socket.send(b"again").is_ok()
}

#[test]
fn rules_come_and_go_and_nothing_changes_twice() {
    alone("capture::net::rules_come_and_go_and_nothing_changes_twice", || {
        let keygress = binary().unwrap();
        let net = |arguments: &[&str]| bare(&keygress).arg("net").args(arguments).output().unwrap();
        let text = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
        let absent = net(&["status"]);
        assert_eq!(absent.status.code(), Some(1));
        for wanted in [
            &["--user", "991"][..],
            &["--user", "991", "--mark", "7", "--to", "9000", "--ports", "443,80,8443", "--from", "1001"],
            &[
                "--mark",
                "7",
                "--all-ports",
                "--from",
                "1002",
                "--from",
                "1001",
                "--deny-rest",
                "--dns",
                "192.0.2.53",
                "--dns",
                "2001:db8::53",
            ],
        ] {
            let dry = text(net(&[&["up", "--dry-run"], wanted].concat()));
            assert!(dry.contains("+ "), "{dry}");
            assert!(text(net(&[&["up"], wanted].concat())).ends_with("the rules are in force\n"));
            assert_eq!(text(net(&[&["up"], wanted].concat())), "the rules are in force already\n");
            assert_eq!(text(net(&[&["up", "--dry-run"], wanted].concat())), "the rules are in force already\n");
            let printed = text(net(&[&["print"], wanted].concat()));
            assert!(printed.ends_with(&text(net(&["status"]))), "what is printed is what is in force:\n{printed}");
        }
        // Somebody changed them by hand.
        let nft = tools::program("nft").unwrap();
        output(bare(&nft).args(["add", "rule", "inet", "keygress", "capture", "tcp", "dport", "25", "accept"])).unwrap();
        let dry = text(net(&["up", "--dry-run", "--mark", "7"]));
        assert!(dry.contains("- tcp dport 25 accept"), "{dry}");
        // Another table is not ours to touch.
        output(bare(&nft).args(["add", "table", "inet", "others"])).unwrap();
        assert_eq!(text(net(&["down"])), "the rules are taken away\n");
        assert_eq!(text(net(&["down"])), "there were no rules\n");
        assert_eq!(output(bare(&nft).args(["list", "ruleset"])).unwrap(), "table inet others {\n}\n");
    })
    .unwrap();
}

#[test]
fn who_may_not_change_rules_is_told() {
    let keygress = binary().unwrap();
    let mut command = Command::new(tools::program("setpriv").unwrap());
    command.args(["--bounding-set", "-net_admin", "--inh-caps", "-all", "--"]).arg(&keygress).args(["net", "up", "--user", "991"]);
    let done =
        if rustix::process::geteuid().is_root() { command.output() } else { bare(&keygress).args(["net", "up", "--user", "991"]).output() };
    let done = done.unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && said.contains("CAP_NET_ADMIN") && said.contains("net print"), "{said}");
    assert!(output(bare(&keygress).args(["net", "print", "--user", "991"])).unwrap().contains("redirect to :8788"));
    let unsaid = bare(&keygress).args(["net", "print"]).output().unwrap();
    assert_eq!(unsaid.status.code(), Some(2), "keygress itself must be named");
}

#[test]
fn http3_goes_nowhere_and_the_rest_only_where_it_may() {
    alone("capture::net::http3_goes_nowhere_and_the_rest_only_where_it_may", || {
        let world = Captured::new("any", "");
        for host in ["192.0.2.10", "[2001:db8::10]"] {
            assert!(!datagram_leaves(&format!("{host}:443")), "{host}");
            assert!(datagram_leaves(&format!("{host}:53")), "{host}");
        }
        world.net(&["up", "--mark", &MARK.to_string(), "--ports", &world.echo.port.to_string(), "--deny-rest", "--dns", "192.0.2.53"]);
        for host in ["192.0.2.10", "[2001:db8::10]"] {
            assert!(!datagram_leaves(&format!("{host}:53")), "{host}");
        }
        assert!(datagram_leaves("192.0.2.53:53"));
        let error = curl_reply(world.curl_command().arg("https://echo.test:444/")).unwrap_err().to_string();
        assert!(error.contains("connect"), "{error}");
        assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
        world.net(&["down"]);
        assert!(datagram_leaves("192.0.2.10:443"));
    })
    .unwrap();
}

/// The client runs as another user than keygress: the usual case on a host.
#[test]
fn the_user_of_keygress_is_left_alone_and_others_are_captured() {
    alone("capture::net::the_user_of_keygress_is_left_alone_and_others_are_captured", || {
        let world = Captured::new("any", "");
        let me = rustix::process::getuid().as_raw().to_string();
        world.net(&["up", "--user", &me, "--all-ports"]);
        let mut own = world.curl_command();
        // Past the rules there is nobody at that address.
        assert!(curl_reply(own.args(["--connect-timeout", "1", &world.url("/hello")])).is_err());
        world.injected(0);
        if !has_other_users() {
            return;
        }
        let mut other = Command::new(tools::program("setpriv").unwrap());
        other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "--silent", "--insecure", "--max-time", "60"]);
        let printed = output(other.arg(world.url("/hello"))).unwrap();
        assert_eq!(printed, "hello\n");
        world.injected(1);
        assert!(world.proxy.await_record("\"uid\":65534").is_some());
    })
    .unwrap();
}

#[test]
fn tproxy_brings_connections_too() {
    alone("capture::net::tproxy_brings_connections_too", || {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "echo.test").unwrap();
        let key = canary().unwrap();
        let proxy = Proxy::start_with(&site, &policy(&site, &key, &rule(echo.port)), |settings| {
            settings.tproxy = vec!["127.0.0.1:8789".parse().unwrap()];
            settings.mark = Some(MARK);
        })
        .unwrap();
        let rules = format!(
            "table inet divert {{
              chain out {{ type route hook output priority mangle; meta mark {MARK} return; ip daddr 127.0.0.0/8 return; tcp dport {} meta mark set 1; }}
              chain into {{ type filter hook prerouting priority mangle; meta mark 1 meta l4proto tcp tproxy ip to 127.0.0.1:8789 accept; }}
            }}\n",
            echo.port
        );
        let rules = site.write("divert.nft", &rules).unwrap();
        output(bare(tools::program("nft").unwrap()).arg("--file").arg(rules)).unwrap();
        for line in ["rule add fwmark 1 lookup 100", "route add local default dev lo table 100"] {
            output(bare(tools::program("ip").unwrap()).args(line.split(' '))).unwrap();
        }
        let mut curl = bare(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60", "--cacert"]).arg(site.folder().join("keygress-ca.pem"));
        let (reply, _) = curl_reply(curl.arg(format!("https://echo.test:{}/hello", echo.port))).unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(echo.seen()[0].values("authorization"), [format!("Bearer {key}")]);
        // Dialled to the listener itself it would lead back here.
        let mut direct = bare(tools::program("curl").unwrap());
        let (reply, _) = curl_reply(direct.args(["--silent", "--max-time", "60", "http://127.0.0.1:8789/hello"])).unwrap();
        assert_eq!(reply.status, 421);
        assert!(proxy.await_record("this one was dialled to it").is_some());
        assert_eq!(echo.seen().len(), 1);
    })
    .unwrap();
}
