//! More than a worker can do: what is refused is refused early, says so, and is counted to the last one.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use keygress_tests::client::{Kept, bare};
use keygress_tests::proxy::{Proxy, binary};
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};

use crate::world::{policy, rule};

/// How many requests are sent at most until one is refused: half a second of them is enough.
const REQUESTS_MAX: usize = 100_000;

/// An upstream, and a proxy on which what is ready may wait this long.
fn world(overload_delay: Duration) -> (Site, Echo, Proxy) {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let text = policy(&site, &canary().unwrap(), &rule(echo.port));
    let proxy = Proxy::start_with(&site, &text, |settings| settings.overload_delay = overload_delay).unwrap();
    (site, echo, proxy)
}

#[test]
fn what_is_refused_is_told_and_counted() {
    // Nothing is ready within a nanosecond: a queue that stands, whatever the machine.
    let (_site, echo, proxy) = world(Duration::from_nanos(1));
    let kept = Kept::open(proxy.address(), "echo.test");
    let mut statuses = Vec::new();
    while statuses.len() < REQUESTS_MAX && statuses.iter().filter(|status| **status == 503).count() < 50 {
        statuses.push(kept.get("/hello"));
    }
    let count = |status: u16| statuses.iter().filter(|seen| **seen == status).count();
    assert_eq!((count(503), count(200) + count(503)), (50, statuses.len()), "nothing else, and the connection lives on");
    assert!(count(200) > 0, "a burst is served");

    let mut curl = proxy.client(keygress_tests::tools::program("curl").unwrap());
    let url = format!("http://{}/echo.test/hello", proxy.address());
    let printed = keygress_tests::client::output(curl.args(["--silent", "--noproxy", "*", "--include", &url])).unwrap();
    assert!(printed.starts_with("HTTP/1.1 503 "), "{printed}");
    assert!(printed.contains("\r\nretry-after: 1\r\n") && printed.contains("\r\nx-keygress-refusal: overloaded\r\n"), "{printed}");
    assert!(printed.contains(r#""code":"overloaded""#), "{printed}");

    assert_eq!(echo.seen().len(), count(200), "what is refused is not sent");
    let metrics = proxy.metrics();
    assert!(metrics.contains("keygress_requests_total{code=\"overloaded\",outcome=\"failed\"} 51\n"), "{metrics}");
    proxy.await_record("overloaded").unwrap();
    let records = proxy.records_once(|records| records.iter().filter(|record| record["keygress"]["code"] == "overloaded").count() == 51);
    assert!(records, "one record for each");
}

#[test]
fn a_connect_that_is_refused_closes() {
    let (_site, _echo, proxy) = world(Duration::from_nanos(1));
    let kept = Kept::open(proxy.address(), "echo.test");
    assert!((0..REQUESTS_MAX).any(|_| kept.get("/hello") == 503), "nothing was refused");
    let mut curl = proxy.client(keygress_tests::tools::program("curl").unwrap());
    let output = curl.args(["--silent", "--verbose", "https://echo.test/hello"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("< HTTP/1.1 503 ") && said.to_ascii_lowercase().contains("< connection: close"), "{said}");
}

#[test]
fn where_nothing_is_to_be_refused_nothing_is() {
    let (_site, echo, proxy) = world(Duration::ZERO);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let kept = Kept::open(proxy.address(), "echo.test");
                    (0..200).map(|_| kept.get("/hello")).collect::<Vec<_>>()
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(echo.seen().len(), 1600);
}

/// 256 descriptors for the process: who is connected is served, who comes then is told, the operator is answered, and places come back.
#[test]
fn descriptors_run_out_for_callers_before_they_do_for_keygress() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    site.write_secret("state-key", "0123456789abcdef0123456789abcdef").unwrap();
    let text = policy(&site, &canary().unwrap(), &rule(echo.port)).replace("echo.test", "localhost");
    site.write("policy.yaml", &text.replace("127.0.0.0/8", "127.0.0.0/8, \"::1/128\"")).unwrap();
    let mut limited = bare("sh");
    limited.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\""]).arg(binary().unwrap());
    let (_process, address) = crate::ledger::serve_by(limited, &site);
    let address: SocketAddr = address.parse().unwrap();

    let kept = Kept::open(address, "localhost");
    assert_eq!(kept.get("/hello"), 200);
    let idle: Vec<_> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    let refused = Kept::open(address, "localhost").get("/hello");
    assert!([0, 503].contains(&refused), "{refused}");
    assert_eq!(kept.get("/hello"), 200, "who was there is served");
    let mut asking = bare(binary().unwrap());
    let asked = asking.args(["task", "list", "--admin-socket"]).arg(site.folder().join("admin.sock")).output().unwrap();
    assert!(asked.status.success(), "{asked:?}");
    let records = || std::fs::read_to_string(site.folder().join("audit.jsonl")).unwrap();
    let begun = Instant::now();
    while !records().contains("\"code\":\"full\"") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", records());
    }

    drop(idle);
    while Kept::open(address, "localhost").get("/hello") != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no place came back");
    }
}
