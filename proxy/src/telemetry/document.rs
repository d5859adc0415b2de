//! OTLP in JSON (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>): ids in hexadecimal, numbers of 64 bits as texts. Written by hand:
//! it is little, and the messages of the protocol would be many. Names are those of the semantic conventions, and `keygress.…` where they have none.

use std::fmt::{Display, Write};
use std::time::Duration;

use http::Method;
use jiff::Timestamp;

use super::Ended;
use super::context::digits;
use crate::audit::{Destination, Event, Kind};
use crate::records::Line;

/// Kinds of spans.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// Severities of log records.
const INFO: (u8, &str) = (9, "INFO");
const WARN: (u8, &str) = (13, "WARN");

/// Who tells it, as the document has it.
#[derive(Clone, Debug)]
pub(super) struct Resource(String);

impl Resource {
    pub(super) fn of<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = Attributes::default();
        attributes.into_iter().for_each(|(key, value)| text.text(key, Some(value)));
        Self(text.finish())
    }

    /// A document of this kind: what `fill` writes, one after the other.
    fn document(&self, [resources, scopes, records]: [&str; 3], fill: impl FnOnce(&mut String)) -> Vec<u8> {
        let scope = format!("{{\"name\":\"keygress\",\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"));
        let mut out =
            format!("{{\"{resources}\":[{{\"resource\":{{\"attributes\":{}}},\"{scopes}\":[{{\"scope\":{scope},\"{records}\":[", self.0);
        fill(&mut out);
        // After each stands a comma.
        if out.ends_with(',') {
            out.pop();
        }
        out.push_str("]}]}]}");
        out.into_bytes()
    }
}

/// Spans: for each request ours, and that of its upstream below it.
pub(super) fn spans(resource: &Resource, requests: &[Box<Ended>]) -> Vec<u8> {
    resource.document(["resourceSpans", "scopeSpans", "spans"], |out| {
        for ended in requests {
            let Ended { span, event, took, upstream } = &**ended;
            let (trace, own) = (digits(&span.context.trace), digits(&span.context.span));
            let state = span.state.as_deref();
            let parent = span.parent.map(|parent| digits(&parent));
            let failed = event.status.is_none_or(|status| status >= 500);
            let names = Names { trace: &trace, span: &own, parent: parent.as_deref(), state };
            one(out, &names, SERVER, event, (span.began, Duration::ZERO, *took), failed, served(event));
            if let Some((from, to)) = upstream {
                let names = Names { trace: &trace, span: &digits(&span.upstream), parent: Some(&own), state };
                let failed = event.status.is_none_or(|status| status >= 400);
                one(out, &names, CLIENT, event, (span.began, *from, *to), failed, called(event));
            }
        }
    })
}

/// Log records: one for each line of the audit, which is its body as it stands, so that the chain can be verified where it arrives.
pub(super) fn logs(resource: &Resource, batches: &[std::sync::Arc<[u8]>]) -> Vec<u8> {
    resource.document(["resourceLogs", "scopeLogs", "logRecords"], |out| {
        for raw in batches.iter().flat_map(|lines| lines.split(|byte| *byte == b'\n')).filter(|line| !line.is_empty()) {
            let text = String::from_utf8_lossy(raw);
            let line: Line<'_> = serde_json::from_slice(raw).unwrap_or_default();
            let nanoseconds = i128::from(line.time) * 1_000_000;
            let activity = line.activity.as_str();
            let (number, severity) = if Kind::TROUBLING.iter().any(|kind| kind.as_str() == activity) { WARN } else { INFO };
            put(out, format_args!("{{\"timeUnixNano\":\"{nanoseconds}\",\"observedTimeUnixNano\":\"{nanoseconds}\","));
            put(
                out,
                format_args!(
                    "\"severityNumber\":{number},\"severityText\":\"{severity}\",\"eventName\":{},",
                    quoted(&format!("keygress.{activity}"))
                ),
            );
            let ours = &line.keygress;
            for (key, id) in [("traceId", &ours.trace_id), ("spanId", &ours.span_id)] {
                if let Some(id) = id.given() {
                    put(out, format_args!("\"{key}\":{},", quoted(id)));
                }
            }
            put(out, format_args!("\"body\":{{\"stringValue\":{}}},\"attributes\":{}}},", quoted(&text), logged(&line)));
        }
    })
}

/// Names of a span.
struct Names<'n> {
    trace: &'n str,
    span: &'n str,
    parent: Option<&'n str>,
    state: Option<&'n str>,
}

fn one(
    out: &mut String,
    names: &Names<'_>,
    kind: u8,
    event: &Event,
    (began, from, to): (Timestamp, Duration, Duration),
    failed: bool,
    attributes: String,
) {
    put(out, format_args!("{{\"traceId\":\"{}\",\"spanId\":\"{}\",", names.trace, names.span));
    if let Some(parent) = names.parent {
        put(out, format_args!("\"parentSpanId\":\"{parent}\","));
    }
    if let Some(state) = names.state {
        put(out, format_args!("\"traceState\":{},", quoted(state)));
    }
    let at = |since: Duration| began.as_nanosecond().saturating_add(i128::try_from(since.as_nanos()).unwrap_or_default());
    let name = event.method.as_ref().map_or("HTTP", Method::as_str);
    put(out, format_args!("\"name\":{},\"kind\":{kind},", quoted(name)));
    put(out, format_args!("\"startTimeUnixNano\":\"{}\",\"endTimeUnixNano\":\"{}\",\"attributes\":{attributes}", at(from), at(to)));
    if failed {
        let message = event.message.as_deref().map(quoted).unwrap_or_else(|| "\"\"".to_owned());
        put(out, format_args!(",\"status\":{{\"code\":2,\"message\":{message}}}"));
    }
    out.push_str("},");
}

/// What a request was to us.
fn served(event: &Event) -> String {
    let mut attributes = common(event);
    attributes.text("url.scheme", event.destination.as_ref().map(|to| to.scheme.as_str()));
    attributes.text("url.path", event.path.as_ref().map(http::uri::PathAndQuery::path));
    attributes.number("keygress.request", event.request);
    attributes.text("keygress.way", event.way);
    attributes.text("keygress.workload", event.workload.as_deref());
    attributes.text("keygress.task", event.task.as_deref());
    attributes.text("keygress.code", event.code);
    attributes.text("keygress.broker", event.broker.as_deref());
    attributes.finish()
}

/// What it was to the upstream.
fn called(event: &Event) -> String {
    let mut attributes = common(event);
    if let Some(Destination { scheme, host, port }) = &event.destination {
        let path = event.path.as_ref().map_or("/", http::uri::PathAndQuery::path);
        attributes.text("url.full", Some(&format!("{}://{host}:{port}{path}", scheme.as_str())));
    }
    attributes.finish()
}

fn common(event: &Event) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.text("http.request.method", event.method.as_ref().map(Method::as_str));
    if let Some(Destination { host, port, .. }) = &event.destination {
        attributes.text("server.address", Some(&host.to_string()));
        attributes.number("server.port", Some(*port));
    }
    attributes.number("http.response.status_code", event.status);
    let status = event.status.filter(|status| *status >= 500).map(|status| status.to_string());
    attributes.text("error.type", event.code.or(status.as_deref()));
    attributes.text("keygress.rule", event.rule.as_deref());
    attributes.text("keygress.credential", event.credential.as_deref());
    attributes
}

/// What of a record is asked for most; the rest is in its body.
fn logged(line: &Line<'_>) -> String {
    let (ours, asked) = (&line.keygress, &line.http_request);
    let mut attributes = Attributes::default();
    attributes.text("http.request.method", asked.http_method.given());
    attributes.text("server.address", asked.url.hostname.given());
    attributes.text("url.path", asked.url.path.given());
    attributes.number("http.response.status_code", Some(line.status_code).filter(|status| *status > 0));
    for (key, value) in [
        ("keygress.activity", &line.activity),
        ("keygress.workload", &ours.workload),
        ("keygress.task", &ours.task),
        ("keygress.rule", &ours.rule),
        ("keygress.credential", &ours.credential),
        ("keygress.lease", &ours.lease),
        ("keygress.code", &ours.code),
    ] {
        attributes.text(key, value.given());
    }
    attributes.number("keygress.request", ours.request);
    attributes.finish()
}

/// A list of keys and values; what is not known is absent.
struct Attributes(String);

impl Default for Attributes {
    fn default() -> Self {
        Self("[".to_owned())
    }
}

impl Attributes {
    fn text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            put(&mut self.0, format_args!("{{\"key\":{},\"value\":{{\"stringValue\":{}}}}},", quoted(key), quoted(value)));
        }
    }

    fn number(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            put(&mut self.0, format_args!("{{\"key\":{},\"value\":{{\"intValue\":\"{value}\"}}}},", quoted(key)));
        }
    }

    fn finish(self) -> String {
        format!("{}]", self.0.trim_end_matches(','))
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // To a text it can always be written.
    let _ = out.write_fmt(text);
}

fn quoted(text: &str) -> String {
    // A text is always a JSON string.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;
    use keygress_policy::destination::{Host, Scheme};
    use serde_json::Value;

    use super::super::{Context, Span};
    use super::*;

    fn ended() -> Box<Ended> {
        let span = Span {
            context: Context::root([1; 16], [2; 8]),
            parent: Some([3; 8]),
            upstream: [4; 8],
            state: Some("a=\"b\"".to_owned()),
            began: "2026-11-27T10:00:00Z".parse().unwrap(),
        };
        let event = Event {
            request: Some(7),
            method: Some(Method::GET),
            destination: Some(Destination { scheme: Scheme::Https, host: Host::parse("api.example.com").unwrap(), port: 443 }),
            path: Some(PathAndQuery::from_static("/v1/charges?never=told")),
            rule: Some("charge".into()),
            status: Some(502),
            code: Some("upstream_failed"),
            message: Some("it \"broke\" off".into()),
            ..Event::new(Kind::Used)
        };
        let upstream = Some((Duration::from_micros(10), Duration::from_millis(30)));
        Box::new(Ended { span, event, took: Duration::from_millis(31), upstream })
    }

    #[test]
    fn a_request_is_two_spans() {
        let resource = Resource::of([("service.name", "keygress \"a\"")]);
        let document = spans(&resource, &[ended(), ended()]);
        let text = String::from_utf8(document).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let of = &document["resourceSpans"][0];
        assert_eq!(of["resource"]["attributes"][0]["value"]["stringValue"], "keygress \"a\"");
        let spans = of["scopeSpans"][0]["spans"].as_array().unwrap();
        assert_eq!(spans.len(), 4);
        let (own, upstream) = (&spans[0], &spans[1]);
        assert_eq!((&own["kind"], &own["parentSpanId"], &own["traceState"]), (&2.into(), &"0303030303030303".into(), &"a=\"b\"".into()));
        assert_eq!(
            (&upstream["kind"], &upstream["parentSpanId"], &upstream["spanId"]),
            (&3.into(), &own["spanId"], &"0404040404040404".into())
        );
        assert_eq!((&own["startTimeUnixNano"], &own["endTimeUnixNano"]), (&"1795773600000000000".into(), &"1795773600031000000".into()));
        assert_eq!(upstream["startTimeUnixNano"], "1795773600000010000");
        assert_eq!(own["status"], serde_json::json!({ "code": 2, "message": "it \"broke\" off" }));
        assert!(text.contains("https://api.example.com:443/v1/charges\"") && !text.contains("never"), "{text}");
    }

    #[test]
    fn a_line_of_the_audit_is_a_log_record_that_holds_it_whole() {
        let line = r#"{"seq":7,"time":1795773600123,"activity":"alert","status_code":403,"message":"\"","keygress":{"request":3,"rule":"r","trace_id":"01","span_id":"02"},"prev":"0","hash":"1"}"#;
        let batch: std::sync::Arc<[u8]> = format!("{line}\n{}\n", line.replace("alert", "used")).into_bytes().into();
        let document: Value = serde_json::from_slice(&logs(&Resource::of([]), &[batch])).unwrap();
        let records = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap();
        assert_eq!((records.len(), &records[0]["body"]["stringValue"]), (2, &line.into()));
        assert_eq!((&records[0]["severityText"], &records[1]["severityText"]), (&"WARN".into(), &"INFO".into()));
        assert_eq!((&records[0]["eventName"], &records[0]["timeUnixNano"]), (&"keygress.alert".into(), &"1795773600123000000".into()));
        assert_eq!((&records[0]["traceId"], &records[0]["spanId"]), (&"01".into(), &"02".into()));
        let empty: Value = serde_json::from_slice(&spans(&Resource::of([]), &[])).unwrap();
        assert_eq!(empty["resourceSpans"][0]["scopeSpans"][0]["spans"], serde_json::json!([]));
    }
}
