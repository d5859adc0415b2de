//! Traces and logs, as a collector understands them.

use keygress::audit::{Also, Sink};
use keygress::telemetry::Otlp;
use keygress_tests::client::{bare, output};
use keygress_tests::proxy::{Proxy, binary};
use keygress_tests::servers::collector::{Collector, attribute};
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use serde_json::Value;

use crate::world::{World, policy, rule};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0bc902c7";

/// A world that tells this collector, of so many requests that nobody traces.
fn world(collector: &Collector, traces: f64) -> World {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let (key, audit) = (canary().unwrap(), site.folder().join("audit.jsonl"));
    let headers = site.write_secret("headers", "X-Tenant: shop\nAuthorization: Bearer of-the-collector\n").unwrap();
    let otlp = Otlp {
        endpoint: format!("{}/", collector.url),
        headers: Some(headers),
        traces,
        service: "egress".to_owned(),
        resource: vec![("deployment.environment.name".to_owned(), "test".to_owned())],
    };
    let proxy = Proxy::start_with(&site, &policy(&site, &key, &rule(echo.port)), |settings| {
        settings.audit = Sink::File(audit);
        settings.audit_also = vec![Also::Otlp];
        settings.otlp = Some(otlp);
    });
    World { echo, key, proxy: proxy.unwrap(), site }
}

fn field<'r>(record: &'r Value, key: &str) -> &'r str {
    record[key].as_str().unwrap_or_default()
}

#[test]
fn a_trace_goes_through_and_no_secret_with_it() {
    let collector = Collector::start(&[]).unwrap();
    let mut world = world(&collector, 0.0);
    let parent = format!("traceparent: 00-{TRACE}-{SPAN}-01");
    let traced = ["--header", &parent, "--header", "tracestate: vendor=1"];
    let curl = |path: &str, more: &[&str]| world.curl(&[more, &[&world.url(path)]].concat()).0.status;
    assert_eq!(curl("/hello?token=in-the-query", &traced), 200);
    assert_eq!(curl("/forbidden", &traced), 403);
    assert_eq!(curl("/hello", &[]), 200);
    assert_eq!(curl("/hello", &["--header", &parent.replace("-01", "-00")]), 200);
    assert_eq!(curl("/hello", &["--header", "traceparent: 00-nothing"]), 200);
    world.proxy.stop();

    let seen = world.echo.seen();
    let sent = seen[0].values("traceparent")[0].to_owned();
    let parts: Vec<_> = sent.split('-').collect();
    assert_eq!((parts[0], parts[1], parts[3], seen[0].values("tracestate")), ("00", TRACE, "01", vec!["vendor=1"]));
    assert!(seen[1].values("traceparent").is_empty(), "nobody asked for a trace: {:?}", seen[1]);
    assert_eq!(seen[2].values("traceparent"), [format!("00-{TRACE}-{SPAN}-00")], "it goes on as it came");
    assert!(seen[3].values("traceparent").is_empty(), "what is no context goes nowhere: {:?}", seen[3]);

    let spans = collector.records("traces").unwrap();
    assert_eq!(spans.len(), 3, "two of the request that was sent, one of the other: {spans:#?}");
    let (own, upstream, refused) = (&spans[0], &spans[1], &spans[2]);
    assert_eq!((field(own, "traceId"), field(own, "parentSpanId"), &own["kind"]), (TRACE, SPAN, &2.into()));
    assert_eq!(
        (field(upstream, "parentSpanId"), field(upstream, "spanId"), &upstream["kind"]),
        (field(own, "spanId"), parts[2], &3.into())
    );
    assert_eq!((field(own, "name"), field(own, "traceState")), ("GET", "vendor=1"));
    let nanoseconds = |record: &Value, key: &str| field(record, key).parse::<u64>().unwrap();
    assert!(nanoseconds(own, "startTimeUnixNano") <= nanoseconds(upstream, "startTimeUnixNano"));
    assert!(nanoseconds(upstream, "endTimeUnixNano") <= nanoseconds(own, "endTimeUnixNano"));
    let port = world.echo.port.to_string();
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/hello"),
        ("server.address", "echo.test"),
        ("server.port", &port),
        ("http.response.status_code", "200"),
        ("keygress.rule", "echo"),
        ("keygress.credential", "key"),
    ] {
        assert_eq!(attribute(own, key).as_deref(), Some(value), "{key}: {own:#}");
    }
    assert_eq!(attribute(upstream, "url.full").unwrap(), world.url("/hello"));
    assert_eq!(attribute(refused, "keygress.code").as_deref(), Some("not_allowed"));

    let (headers, document) = collector.taken("traces").unwrap().remove(0);
    let resource = &document["resourceSpans"][0]["resource"];
    assert_eq!(attribute(resource, "service.name").as_deref(), Some("egress"));
    assert_eq!(attribute(resource, "deployment.environment.name").as_deref(), Some("test"));
    assert_eq!(headers["x-tenant"], "shop");
    let told = format!("{spans:?}{:?}", collector.records("logs").unwrap());
    for secret in [&*world.key, "own-key-of-the-application", "in-the-query", "of-the-collector"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    assert!(world.proxy.metrics().contains("keygress_otlp_records_total{result=\"sent\",signal=\"traces\"} 3\n"));
}

#[test]
fn the_audit_arrives_whole_and_can_be_verified_there() {
    let collector = Collector::start(&["503"]).unwrap();
    let mut world = world(&collector, 1.0);
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    world.curl(&[&world.url("/forbidden")]).0.is_denied().unwrap();
    // The first answer was that it cannot take it now.
    collector.wait_for("\"keygress.denied\"").unwrap();
    world.proxy.stop();
    let written = std::fs::read_to_string(world.site.folder().join("audit.jsonl")).unwrap();
    let records = collector.records("logs").unwrap();
    let mut bodies: Vec<_> = records.iter().map(|record| field(&record["body"], "stringValue")).collect();
    // What the collector said it could not take was told again, and is here twice.
    let mut lines: Vec<_> = written.lines().collect();
    assert_eq!(bodies.split_off(bodies.len() - lines.len()), lines);
    let arrived = world.site.write("arrived.jsonl", &format!("{}\n", lines.join("\n"))).unwrap();
    output(bare(binary().unwrap()).args(["audit", "verify"]).arg(arrived)).unwrap();

    lines.retain(|line| line.contains("\"used\""));
    let used: Value = serde_json::from_str(lines[0]).unwrap();
    let record = records.iter().find(|record| field(record, "eventName") == "keygress.used").unwrap();
    let span = &collector.records("traces").unwrap()[0];
    assert_eq!((field(record, "traceId"), field(record, "spanId")), (field(span, "traceId"), field(span, "spanId")));
    assert_eq!(field(&used["keygress"], "trace_id"), field(span, "traceId"), "and on record too");
    assert_eq!((field(record, "severityText"), attribute(record, "keygress.rule").as_deref()), ("INFO", Some("echo")));
    let explained = output(
        bare(binary().unwrap()).args(["explain", "--id", field(span, "traceId"), "--audit"]).arg(world.site.folder().join("audit.jsonl")),
    );
    assert!(explained.unwrap().starts_with("sent  GET https://echo.test"));
}

#[test]
fn a_collector_that_takes_nothing_holds_nothing_up() {
    let collector = Collector::start(&["400"; 64]).unwrap();
    let mut world = world(&collector, 1.0);
    for _ in 0..3 {
        assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    }
    world.proxy.stop();
    let metrics = world.proxy.metrics();
    assert!(metrics.contains("keygress_otlp_records_total{result=\"failed\",signal=\"traces\"} 6\n"), "{metrics}");
    assert!(metrics.contains("keygress_otlp_records_total{result=\"sent\",signal=\"logs\"} 0\n"), "{metrics}");
    assert!(!metrics.contains("keygress_audit_sink_lost_total{sink=\"otlp\"} 0\n"), "{metrics}");
    assert_eq!(world.echo.seen().len(), 3);
}
