//! More than a worker can do: what is refused is refused early, says so, and is counted to the last one.

use std::time::Duration;

use keygress_tests::client::Kept;
use keygress_tests::proxy::Proxy;
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
