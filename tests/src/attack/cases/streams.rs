//! What HTTP/2 may carry that HTTP/1.1 would read otherwise (RFC 9113, section 8): it must not survive the translation.

use super::{Case, Expect, GET, Written};
use Expect::{Carried, Refused, Rejected};

const METHOD: (&str, &str) = (":method", "GET");
const POST: (&str, &str) = (":method", "POST");
const SCHEME: (&str, &str) = (":scheme", "https");
const AUTHORITY: (&str, &str) = (":authority", "{}");
const PATH: (&str, &str) = (":path", "/hello");

/// The stream, or the connection, ends.
const ENDS: Expect = Rejected(0);

/// The table.
pub const CASES: &[Case] = &[
    Case {
        name: "h2-line-end-in-value",
        attack: "a line end in a value: two fields once it is HTTP/1.1",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, PATH, ("x-a", "b\r\nx-smuggled: c")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-line-end-in-name",
        attack: "a line end in a name",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, PATH, ("x-a\r\nx-b", "c")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-nul-in-value",
        attack: "NUL in a value",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, PATH, ("x-a", "b\0c")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-line-end-in-path",
        attack: "a request in the path",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, (":path", "/x HTTP/1.1\r\nhost: evil.test\r\n\r\n")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-space-in-path",
        attack: "a space in the path",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, (":path", "/hello HTTP/1.1")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-line-end-in-method",
        attack: "a request in the method",
        written: Written::H2(&[(":method", "GET / HTTP/1.1\r\nx: "), SCHEME, AUTHORITY, PATH], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-upper-case-name",
        attack: "a name in upper case",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, PATH, ("X-A", "b")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-two-methods",
        attack: "a pseudo-header field twice",
        written: Written::H2(&[METHOD, POST, SCHEME, AUTHORITY, PATH], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-two-authorities",
        attack: "two authorities",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, (":authority", "evil.test"), PATH], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-two-paths",
        attack: "two paths",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, PATH, (":path", "/other")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-late-pseudo-header",
        attack: "a pseudo-header field behind the others",
        written: Written::H2(&[METHOD, SCHEME, PATH, ("x-a", "b"), AUTHORITY], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-unknown-pseudo-header",
        attack: "a pseudo-header field that does not exist",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, PATH, (":protocol-x", "b")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-status-in-request",
        attack: "the status of an answer in a request",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")], None),
        expect: ENDS,
        ..GET
    },
    Case { name: "h2-no-path", attack: "no path", written: Written::H2(&[METHOD, SCHEME, AUTHORITY], None), expect: ENDS, ..GET },
    Case {
        name: "h2-empty-path",
        attack: "an empty path",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, (":path", "")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-relative-path",
        attack: "a path without its slash",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, (":path", "hello")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-path-is-url",
        attack: "a URL of another host as the path",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, (":path", "https://evil.test/hello")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-no-authority",
        attack: "neither :authority nor host",
        written: Written::H2(&[METHOD, SCHEME, PATH], None),
        expect: Refused(400, "bad_request"),
        ..GET
    },
    Case {
        name: "h2-host-alone",
        attack: "host without :authority",
        written: Written::H2(&[METHOD, SCHEME, PATH, ("host", "{}")], None),
        expect: Refused(400, "bad_request"),
        ..GET
    },
    Case {
        name: "h2-plain-scheme",
        attack: "http inside TLS",
        written: Written::H2(&[METHOD, (":scheme", "http"), AUTHORITY, PATH], None),
        expect: Refused(400, "bad_request"),
        ..GET
    },
    Case {
        name: "h2-other-scheme",
        attack: "a scheme that is not HTTP",
        written: Written::H2(&[METHOD, (":scheme", "file"), AUTHORITY, PATH], None),
        expect: Refused(400, "bad_request"),
        ..GET
    },
    Case {
        name: "h2-connect",
        attack: "CONNECT as a stream of an intercepted connection",
        written: Written::H2(&[(":method", "CONNECT"), (":authority", "evil.test:443")], None),
        expect: Refused(405, "method_not_carried"),
        ..GET
    },
    Case {
        name: "h2-extended-connect",
        attack: "extended CONNECT, which was not offered",
        written: Written::H2(&[(":method", "CONNECT"), (":protocol", "websocket"), SCHEME, AUTHORITY, PATH], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-connection-field",
        attack: "a field of HTTP/1.1 connections",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, PATH, ("connection", "x-a"), ("x-a", "b")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-transfer-encoding",
        attack: "chunks announced in HTTP/2 (H2.TE)",
        written: Written::H2(
            &[POST, SCHEME, AUTHORITY, (":path", "/mirror"), ("transfer-encoding", "chunked")],
            Some("0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-length-too-short",
        attack: "a length that is not that of the data (H2.CL)",
        written: Written::H2(
            &[POST, SCHEME, AUTHORITY, (":path", "/mirror"), ("content-length", "1")],
            Some("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-te-gzip",
        attack: "a TE that HTTP/2 forbids",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, PATH, ("te", "gzip")], None),
        expect: ENDS,
        ..GET
    },
    Case {
        name: "h2-cookies-apart",
        attack: "a cookie in crumbs, which would be joined: it does not leave",
        written: Written::H2(&[METHOD, SCHEME, AUTHORITY, PATH, ("cookie", "a=theirs"), ("cookie", "b=theirs")], None),
        expect: Carried(&["theirs", "cookie"]),
        ..GET
    },
];
