//! One line: the fields of a record, by their OCSF names where OCSF has one, under `keygress` where it has none.

use std::borrow::Cow;
use std::io;

use jiff::Timestamp;
use serde::Serialize;

use super::Event;

/// The longest text of a field, in bytes; what is longer is cut and ends in `…`.
const FIELD_BYTES_MAX: usize = 1024;

/// What the sink knows of a line, beside its event.
pub(super) struct Place<'p> {
    /// Position in the chain, from 1.
    pub(super) seq: u64,
    /// When the event happened.
    pub(super) time: Timestamp,
    /// Names the process that wrote it.
    pub(super) instance: &'p str,
    /// Hash of the line before, in hexadecimal.
    pub(super) prev: &'p str,
}

/// Appends the JSON object of a record, without hash and newline. It is pure ASCII: no byte of it can steer a terminal.
pub(super) fn write(out: &mut Vec<u8>, event: &Event, place: &Place<'_>) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, Ascii);
    Line::new(event, place).serialize(&mut serializer).map_err(io::Error::other)
}

#[derive(Serialize)]
struct Line<'e> {
    seq: u64,
    time: i64,
    timestamp: String,
    activity: &'static str,
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_request: Option<HttpRequest<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'e, str>>,
    keygress: Ours<'e>,
    prev: &'e str,
}

#[derive(Serialize)]
struct Metadata {
    uid: String,
}

#[derive(Serialize)]
struct Actor {
    process: Process,
}

#[derive(Serialize)]
struct Process {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
}

#[derive(Serialize)]
struct HttpRequest<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    http_method: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Url<'e>>,
}

#[derive(Serialize)]
struct Url<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'e, str>>,
}

#[derive(Serialize)]
struct Ours<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    masked: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unscrubbed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
}

impl<'e> Line<'e> {
    fn new(event: &'e Event, place: &Place<'e>) -> Self {
        let has_process = event.uid.is_some() || event.pid.is_some();
        Self {
            seq: place.seq,
            time: place.time.as_millisecond(),
            timestamp: format!("{:.3}", place.time),
            activity: event.kind.as_str(),
            metadata: Metadata { uid: format!("{}-{}", place.instance, place.seq) },
            actor: has_process.then_some(Actor { process: Process { uid: event.uid, pid: event.pid } }),
            http_request: HttpRequest::new(event),
            status_code: event.status,
            message: event.message.as_deref().map(bounded),
            keygress: Ours::new(event),
            prev: place.prev,
        }
    }
}

impl<'e> HttpRequest<'e> {
    fn new(event: &'e Event) -> Option<Self> {
        let http_method = event.method.as_ref().map(|method| bounded(method.as_str()));
        let url = Url::new(event.destination.as_deref(), event.path.as_deref());
        (http_method.is_some() || url.is_some()).then_some(Self { http_method, url })
    }
}

impl<'e> Url<'e> {
    /// From `scheme://host:port` and a path.
    fn new(destination: Option<&'e str>, path: Option<&'e str>) -> Option<Self> {
        if destination.is_none() && path.is_none() {
            return None;
        }
        let (scheme, authority) = match destination.and_then(|d| d.split_once("://")) {
            Some((scheme, authority)) => (Some(scheme), Some(authority)),
            None => (None, destination),
        };
        let (hostname, port) = match authority.and_then(|a| a.rsplit_once(':')) {
            Some((hostname, port)) if port.parse::<u16>().is_ok() => (Some(hostname), port.parse().ok()),
            _ => (authority, None),
        };
        Some(Self { scheme: scheme.map(bounded), hostname: hostname.map(bounded), port, path: path.map(bounded) })
    }
}

impl<'e> Ours<'e> {
    fn new(event: &'e Event) -> Self {
        Self {
            request: event.request,
            way: event.way,
            workload: event.workload.as_deref().map(bounded),
            task: event.task.as_deref().map(bounded),
            rule: event.rule.as_deref().map(bounded),
            credential: event.credential.as_deref().map(bounded),
            lease: event.lease.as_deref().map(bounded),
            fingerprint: event.fingerprint.as_deref().map(bounded),
            code: event.code,
            generation: event.generation,
            expires_in: event.expires_in,
            masked: event.masked,
            unscrubbed: event.unscrubbed,
            lost: event.lost,
        }
    }
}

fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= FIELD_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let mark = '…';
    let kept = text.get(..text.floor_char_boundary(FIELD_BYTES_MAX - mark.len_utf8())).unwrap_or_default();
    Cow::Owned(format!("{kept}{mark}"))
}

/// Escapes everything outside printable ASCII as `\uXXXX`.
struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let is_plain = |c: char| matches!(c, ' '..='~');
        let mut rest = fragment;
        while let Some(at) = rest.find(|c| !is_plain(c)) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let Some(c) = tail.chars().next() else { break };
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = tail.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Kind;

    fn line(event: &Event) -> String {
        let time = "2026-11-24T05:45:00.123456Z".parse().unwrap();
        let mut out = Vec::new();
        write(&mut out, event, &Place { seq: 7, time, instance: "abcd", prev: "00" }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_says_who_did_what_where_and_why() {
        let event = Event {
            request: Some(3),
            way: Some("intercept"),
            workload: Some("billing".into()),
            task: Some("t-1".into()),
            uid: Some(1000),
            pid: Some(42),
            method: Some(http::Method::POST),
            destination: Some("https://[::1]:443".into()),
            path: Some("/v1/charges".into()),
            rule: Some("charge-cards".into()),
            credential: Some("stripe".into()),
            lease: Some("l-1".into()),
            fingerprint: Some("f-1".into()),
            code: Some("no_rule"),
            status: Some(403),
            generation: Some(2),
            expires_in: Some(60),
            message: Some("no rule".into()),
            ..Event::new(Kind::Denied)
        };
        assert_eq!(
            line(&event),
            concat!(
                r#"{"seq":7,"time":1795499100123,"timestamp":"2026-11-24T05:45:00.123Z","activity":"denied","metadata":{"uid":"abcd-7"},"#,
                r#""actor":{"process":{"uid":1000,"pid":42}},"http_request":{"http_method":"POST","url":{"scheme":"https","#,
                r#""hostname":"[::1]","port":443,"path":"/v1/charges"}},"status_code":403,"message":"no rule","keygress":{"request":3,"#,
                r#""way":"intercept","workload":"billing","task":"t-1","rule":"charge-cards","credential":"stripe","lease":"l-1","#,
                r#""fingerprint":"f-1","code":"no_rule","generation":2,"expires_in":60},"prev":"00"}"#
            )
        );
    }

    #[test]
    fn what_is_not_known_is_absent() {
        assert!(line(&Event::new(Kind::Alert)).ends_with(r#""metadata":{"uid":"abcd-7"},"keygress":{},"prev":"00"}"#));
    }

    #[test]
    fn text_is_escaped_to_printable_ascii_and_reads_back_the_same() {
        let path = "/\u{9b}31m\u{202e}é😀\"\\\n\u{7f}\0";
        let line = line(&Event { path: Some(path.into()), ..Event::new(Kind::Denied) });
        assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["http_request"]["url"]["path"], path);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let read: serde_json::Value =
            serde_json::from_str(&line(&Event { path: Some("é".repeat(4000)), ..Event::new(Kind::Denied) })).unwrap();
        let path = read["http_request"]["url"]["path"].as_str().unwrap();
        assert!(path.len() <= FIELD_BYTES_MAX && path.ends_with("é…"), "{} bytes", path.len());
    }
}
