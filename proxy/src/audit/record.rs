//! One line: the fields of a record, by their OCSF names where OCSF has one, under `keygress` where it has none.
//!
//! Appended by hand: every request writes one, and through serde it cost four times as much (457 ns against 97 ns).

use jiff::Timestamp;

use super::checkpoint::Seal;
use super::{Destination, Event};

/// The longest text of a field, in bytes; what is longer is cut and ends in `…`.
const FIELD_BYTES_MAX: usize = 1024;

/// What the sink knows of a line, beside its event.
pub(super) struct Place<'p> {
    /// Position in the chain, from 1.
    pub(super) seq: u64,
    /// When the event happened.
    pub(super) time: &'p Moment,
    /// Names the process that wrote it.
    pub(super) instance: &'p str,
    /// Hash of the line before, in hexadecimal.
    pub(super) prev: &'p str,
}

/// A time to the millisecond, written out once for all lines of the same.
#[derive(Debug)]
pub(super) struct Moment {
    milliseconds: i64,
    text: String,
}

impl Moment {
    pub(super) fn of(time: Timestamp) -> Self {
        Self { milliseconds: time.as_millisecond(), text: format!("{time:.3}") }
    }

    pub(super) fn milliseconds(&self) -> i64 {
        self.milliseconds
    }

    /// Becomes this time, where it is another millisecond.
    pub(super) fn move_to(&mut self, time: Timestamp) {
        if time.as_millisecond() != self.milliseconds {
            *self = Self::of(time);
        }
    }
}

/// A key as it stands in the line.
#[derive(Clone, Copy)]
struct Key(&'static str);

macro_rules! key {
    ($name:literal) => {
        Key(concat!(",\"", $name, "\":"))
    };
}

/// Appends the JSON object of a record, without hash and newline. It is pure ASCII: no byte of it can steer a terminal.
pub(super) fn write(out: &mut Vec<u8>, event: &Event, place: &Place<'_>, seal: Option<&Seal>) {
    let mut line = Object::open(out);
    line.number(key!("seq"), Some(place.seq));
    what(&mut line, event, place.time);
    line.object(key!("metadata"), |metadata| metadata.joined(key!("uid"), place.instance, place.seq));
    who_and_where(&mut line, event);
    line.object(key!("keygress"), |ours| {
        ours_of(ours, event);
        if let Some(Seal { key, signature }) = seal {
            ours.plain(key!("key"), key);
            ours.plain(key!("signature"), signature);
        }
    });
    line.plain(key!("prev"), place.prev);
    line.close();
}

/// The same object without place and chain.
pub(super) fn write_alone(out: &mut Vec<u8>, event: &Event, time: &Moment) {
    let mut line = Object::open(out);
    what(&mut line, event, time);
    who_and_where(&mut line, event);
    line.object(key!("keygress"), |ours| ours_of(ours, event));
    line.close();
}

fn what(line: &mut Object<'_>, event: &Event, time: &Moment) {
    line.number(key!("time"), Some(time.milliseconds));
    line.plain(key!("timestamp"), &time.text);
    line.plain(key!("activity"), event.kind.as_str());
}

fn who_and_where(line: &mut Object<'_>, event: &Event) {
    if event.uid.is_some() || event.pid.is_some() {
        line.object(key!("actor"), |actor| {
            actor.object(key!("process"), |process| {
                process.number(key!("uid"), event.uid);
                process.number(key!("pid"), event.pid);
            });
        });
    }
    if event.method.is_some() || event.destination.is_some() || event.path.is_some() {
        line.object(key!("http_request"), |request| http_request(request, event));
    }
    line.number(key!("status_code"), event.status);
    line.text(key!("message"), event.message.as_deref());
}

fn http_request(request: &mut Object<'_>, event: &Event) {
    request.text(key!("http_method"), event.method.as_ref().map(http::Method::as_str));
    if event.destination.is_none() && event.path.is_none() {
        return;
    }
    request.object(key!("url"), |url| {
        if let Some(Destination { scheme, host, port }) = &event.destination {
            url.plain(key!("scheme"), scheme.as_str());
            match host {
                keygress_policy::destination::Host::Name(name) => url.text(key!("hostname"), Some(name)),
                keygress_policy::destination::Host::Ip(_) => url.text(key!("hostname"), Some(&host.to_string())),
            }
            url.number(key!("port"), Some(*port));
        }
        url.text(key!("path"), event.path.as_ref().map(http::uri::PathAndQuery::path));
    });
}

fn ours_of(ours: &mut Object<'_>, event: &Event) {
    ours.number(key!("request"), event.request);
    ours.text(key!("way"), event.way);
    ours.text(key!("peer"), event.peer.as_deref());
    ours.text(key!("workload"), event.workload.as_deref());
    ours.text(key!("task"), event.task.as_deref());
    ours.text(key!("rule"), event.rule.as_deref());
    ours.text(key!("broker"), event.broker.as_deref());
    ours.text(key!("trace"), event.trace.as_deref());
    if let Some(span) = &event.span {
        ours.hex(key!("trace_id"), &span.trace);
        ours.hex(key!("span_id"), &span.span);
    }
    ours.text(key!("credential"), event.credential.as_deref());
    ours.text(key!("lease"), event.lease.as_deref());
    ours.text(key!("fingerprint"), event.fingerprint.as_deref());
    ours.text(key!("code"), event.code);
    ours.number(key!("generation"), event.generation);
    ours.number(key!("expires_in"), event.expires_in);
    if !event.stripped.is_empty() {
        let names = event.stripped.filled().map(|filled| filled.to_string()).collect::<Vec<_>>();
        ours.text(key!("stripped"), Some(&names.join(",")));
    }
    ours.number(key!("masked"), event.masked);
    if event.unscrubbed {
        ours.raw(key!("unscrubbed"), "true");
    }
    if event.mints {
        ours.raw(key!("mints"), "true");
    }
    ours.number(key!("lost"), event.lost);
    if let Some(evidence) = &event.evidence {
        ours.text(key!("expected"), Some(&evidence.expected));
        ours.text(key!("seen"), Some(&evidence.seen));
        ours.number(key!("since"), evidence.since.map(Timestamp::as_millisecond));
        ours.number(key!("events"), Some(evidence.events));
        ours.number(key!("repeated"), Some(evidence.repeated).filter(|repeated| *repeated > 0));
    }
}

/// A JSON object on its way out; what is not known is absent.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    /// Appends `,"name":`, without its comma where it is the first.
    fn key(&mut self, key: Key) {
        let Key(text) = key;
        let text = if self.is_empty { text.get(1..).unwrap_or_default() } else { text };
        self.is_empty = false;
        self.out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, key: Key, value: Option<impl itoa::Integer>) {
        let Some(value) = value else { return };
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A value that is JSON already.
    fn raw(&mut self, key: Key, value: &str) {
        self.key(key);
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Text of our own that needs no escapes.
    fn plain(&mut self, key: Key, value: &str) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
    }

    /// Bytes in hexadecimal.
    fn hex(&mut self, key: Key, bytes: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend(bytes.iter().flat_map(|byte| hex(*byte)));
        self.out.push(b'"');
    }

    /// `text-number`, both our own.
    fn joined(&mut self, key: Key, text: &str, number: u64) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'-');
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.out.push(b'"');
    }

    fn text(&mut self, key: Key, value: Option<&str>) {
        let Some(value) = value else { return };
        self.key(key);
        self.out.push(b'"');
        let is_long = value.len() > FIELD_BYTES_MAX;
        let kept = if is_long { value.get(..value.floor_char_boundary(FIELD_BYTES_MAX - '…'.len_utf8())) } else { Some(value) };
        escape(self.out, kept.unwrap_or_default());
        if is_long {
            escape(self.out, "…");
        }
        self.out.push(b'"');
    }

    fn object(&mut self, key: Key, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        let mut inner = Object::open(self.out);
        fill(&mut inner);
        inner.close();
    }
}

/// Appends the inside of a JSON string; everything outside printable ASCII as `\uXXXX`.
fn escape(out: &mut Vec<u8>, text: &str) {
    // Without an early end the compiler looks at many bytes at once.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        return out.extend_from_slice(text.as_bytes());
    }
    for c in text.chars() {
        match u8::try_from(c) {
            Ok(byte) if is_plain(byte) => out.push(byte),
            Ok(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
            Ok(_) | Err(_) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(b"\\u");
                    out.extend(unit.to_be_bytes().iter().flat_map(|byte| hex(*byte)));
                }
            }
        }
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// The two hexadecimal digits of a byte.
pub(super) fn hex(byte: u8) -> [u8; 2] {
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;
    use keygress_policy::destination::{Host, Scheme};

    use super::*;
    use crate::audit::Kind;

    fn line(event: &Event) -> String {
        let time = Moment::of("2026-11-24T05:45:00.123456Z".parse().unwrap());
        let mut out = Vec::new();
        write(&mut out, event, &Place { seq: 7, time: &time, instance: "abcd", prev: "00" }, None);
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
            destination: Some(Destination { scheme: Scheme::Https, host: Host::parse("[::1]").unwrap(), port: 443 }),
            path: Some(PathAndQuery::from_static("/v1/charges?not=recorded")),
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
    fn what_did_not_leave_is_named() {
        let request = http::Request::get("/?api_key=1").header("authorization", "a").header("cookie", "b").body(()).unwrap();
        let stripped = keygress_policy::inject::strip(&mut request.into_parts().0, &[], None);
        let line = line(&Event { stripped, ..Event::new(Kind::Used) });
        assert!(line.contains(r#""keygress":{"stripped":"authorization,cookie,?apikey"}"#), "{line}");
    }

    #[test]
    fn what_is_not_known_is_absent() {
        assert!(line(&Event::new(Kind::Alert)).ends_with(r#""metadata":{"uid":"abcd-7"},"keygress":{},"prev":"00"}"#));
    }

    #[test]
    fn text_is_escaped_to_printable_ascii_and_reads_back_the_same() {
        let text = "/\u{9b}31m\u{202e}é😀\"\\\n\u{7f}\0";
        let line = line(&Event { message: Some(text.into()), ..Event::new(Kind::Denied) });
        assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], text);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let read: serde_json::Value =
            serde_json::from_str(&line(&Event { message: Some("é".repeat(4000).into()), ..Event::new(Kind::Denied) })).unwrap();
        let text = read["message"].as_str().unwrap();
        assert!(text.len() <= FIELD_BYTES_MAX && text.ends_with("é…"), "{} bytes", text.len());
    }
}
