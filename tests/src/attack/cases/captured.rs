//! What a captured connection may begin with: it was dialled to its destination, and is no connection to a proxy.

use super::{Case, Expect, GET, Written};
use Expect::{Ended, Refused};

const MISDIRECTED: Expect = Refused(421, "misdirected");
const UNKNOWN: Expect = Refused(403, "unknown_destination");

/// The table.
pub const CASES: &[Case] = &[
    Case {
        name: "captured-in-the-clear",
        attack: "the upstream's name without TLS: the credential would leave in the clear",
        written: Written::Captured("GET /hello HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n"),
        expect: UNKNOWN,
        ..GET
    },
    Case {
        name: "captured-https-url-in-the-clear",
        attack: "an https URL as if this were a proxy",
        written: Written::Captured("GET https://{}/hello HTTP/1.1\r\nHost: {}\r\n\r\n"),
        ..GET
    },
    Case {
        name: "captured-connect",
        attack: "CONNECT as if this were a proxy, and a request behind it",
        written: Written::Captured("CONNECT {} HTTP/1.1\r\nHost: {}\r\n\r\nGET https://{}/hello HTTP/1.1\r\nHost: {}\r\n\r\n"),
        expect: MISDIRECTED,
        ..GET
    },
    Case {
        name: "captured-route",
        attack: "a route as if this were the listener of routes",
        written: Written::Captured("GET /api/hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        expect: MISDIRECTED,
        ..GET
    },
    Case {
        name: "captured-host-says-another",
        attack: "Host names somebody else than was dialled",
        written: Written::Captured("GET /hello HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
        expect: MISDIRECTED,
        ..GET
    },
    Case {
        name: "captured-address-says-another",
        attack: "Host names another address than was dialled",
        written: Written::Captured("GET /hello HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"),
        expect: MISDIRECTED,
        ..GET
    },
    Case {
        name: "captured-two-hosts",
        attack: "two Host fields",
        written: Written::Captured("GET /hello HTTP/1.1\r\nHost: {}\r\nHost: evil.test\r\n\r\n"),
        ..GET
    },
    Case {
        name: "captured-no-host",
        attack: "no Host: nobody knows for whom it is",
        written: Written::Captured("GET /hello HTTP/1.1\r\n\r\n"),
        ..GET
    },
    Case {
        name: "captured-other-protocol",
        attack: "bytes of another protocol to the upstream's port",
        written: Written::Captured("SSH-2.0-x\r\n"),
        expect: Ended("unknown_destination"),
        ..GET
    },
    Case {
        name: "captured-h2-in-the-clear",
        attack: "the preface of HTTP/2 without TLS",
        written: Written::Captured("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        expect: Expect::Rejected(0),
        ..GET
    },
    Case {
        name: "captured-broken-hello",
        attack: "a first byte of TLS, and nothing of TLS behind it",
        written: Written::Captured("\x16\x03\x01\0\x04\x02\0\0\0"),
        expect: Ended("bad_request"),
        ..GET
    },
];
