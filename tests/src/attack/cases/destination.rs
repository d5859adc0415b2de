//! Who is asked: hosts, ports, addresses, and who may choose them.

use super::{Asked, Case, Expect, GET, Written};
use crate::attack::way::Way;
use Expect::{Carried, Refused, Rejected, Unwritable};

const MISDIRECTED: Expect = Refused(421, "misdirected");
const UNKNOWN: Expect = Refused(403, "unknown_destination");

/// A request whose target and Host both name this authority: inside a tunnel it is for another than the tunnel's.
const fn naming(authority: &'static str) -> Written {
    Written::Asked(Asked { authority, ..Asked::GET })
}

/// A request whose Host fields are these.
const fn hosts(hosts: &'static [&'static str]) -> Written {
    Written::Asked(Asked { hosts: Some(hosts), ..Asked::GET })
}

/// The target of a route is a path: it names no authority.
const NO_ROUTE: (Way, Expect) = (Way::Route, Unwritable);
const INSIDE: [(Way, Expect); 2] = [(Way::ConnectH1, MISDIRECTED), (Way::ConnectH2, MISDIRECTED)];
const OTHER: &[(Way, Expect)] = &[NO_ROUTE, INSIDE[0], INSIDE[1]];
const ONLY_HTTP_SAYS: &[(Way, Expect)] = &[NO_ROUTE, (Way::ConnectH2, Rejected(0))];

/// The table.
pub const CASES: &[Case] = &[
    Case {
        name: "destination-host-says-another",
        attack: "the target names the upstream, and Host somebody else: a proxy that decides by one and dials by the other leaks",
        written: hosts(&["evil.test"]),
        expect: MISDIRECTED,
        ..GET
    },
    Case {
        name: "destination-target-says-another",
        attack: "the same the other way round: Host names the upstream, and the target somebody else",
        written: Written::Asked(Asked { authority: "evil.test", hosts: Some(&["{}"]), ..Asked::GET }),
        expect: MISDIRECTED,
        // Inside HTTP/1.1 the target is a path here; the case after the next names another.
        but: &[NO_ROUTE, (Way::ConnectH1, Unwritable)],
    },
    Case {
        name: "destination-all-say-another",
        attack: "everything names a host without a rule",
        written: naming("evil.test"),
        expect: UNKNOWN,
        but: OTHER,
    },
    Case {
        name: "destination-absolute-form-inside-tls",
        attack: "a full URL of another host inside an intercepted connection",
        written: Written::Raw("GET https://evil.test/hello HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        expect: MISDIRECTED,
        but: &[NO_ROUTE],
    },
    Case {
        name: "destination-plain-inside-tls",
        attack: "an http URL inside TLS, so that the credential would leave in the clear",
        written: Written::Raw("GET http://{}/hello HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        expect: Unwritable,
        but: &[(Way::ConnectH1, Refused(400, "bad_request"))],
    },
    Case {
        name: "destination-suffix-before",
        attack: "a name that ends like the upstream's",
        written: naming("evilapi.test"),
        expect: UNKNOWN,
        but: OTHER,
    },
    Case {
        name: "destination-suffix-behind",
        attack: "a name that begins like the upstream's",
        written: naming("api.test.evil.test"),
        expect: UNKNOWN,
        but: OTHER,
    },
    Case {
        name: "destination-subdomain",
        attack: "a name under the upstream's",
        written: naming("x.api.test"),
        expect: UNKNOWN,
        but: OTHER,
    },
    Case {
        name: "destination-alias",
        attack: "another name that resolves to the same address",
        written: naming("alias.test"),
        expect: UNKNOWN,
        but: OTHER,
    },
    Case {
        name: "destination-address",
        attack: "the address instead of the name",
        written: naming("127.0.0.1"),
        expect: UNKNOWN,
        but: OTHER,
    },
    Case {
        name: "destination-metadata",
        attack: "the metadata address of a cloud",
        written: naming("169.254.169.254"),
        expect: UNKNOWN,
        but: OTHER,
    },
    Case {
        name: "destination-other-port",
        attack: "the right name with another port",
        written: naming("api.test:1"),
        expect: UNKNOWN,
        but: OTHER,
    },
    Case {
        name: "destination-trailing-dot",
        attack: "the absolute name: the same to DNS, another to a string",
        written: naming("api.test."),
        but: &[NO_ROUTE],
        ..GET
    },
    Case {
        name: "destination-short-address",
        attack: "127.1, which address parsers repair",
        written: naming("127.1"),
        but: &[NO_ROUTE],
        ..GET
    },
    Case {
        name: "destination-decimal-address",
        attack: "an address as one number",
        written: naming("2130706433"),
        but: &[NO_ROUTE],
        ..GET
    },
    Case { name: "destination-hex-address", attack: "an address in hexadecimal", written: naming("0x7f.1"), but: &[NO_ROUTE], ..GET },
    Case { name: "destination-zone", attack: "an address with a zone", written: naming("[fe80::1%25eth0]"), but: &[NO_ROUTE], ..GET },
    Case {
        name: "destination-mapped-address",
        attack: "an IPv4 address inside IPv6",
        written: naming("[::ffff:169.254.169.254]"),
        expect: UNKNOWN,
        but: OTHER,
    },
    Case {
        name: "destination-padded-port",
        attack: "a port with a leading zero",
        written: naming("api.test:0443"),
        but: &[NO_ROUTE],
        ..GET
    },
    Case { name: "destination-empty-port", attack: "a colon without a port", written: naming("api.test:"), but: &[NO_ROUTE], ..GET },
    Case {
        name: "destination-port-too-large",
        attack: "a port that does not fit: `unwrap_or(443)` would make it 443",
        written: naming("api.test:99999"),
        but: &[NO_ROUTE],
        ..GET
    },
    Case {
        name: "destination-user-information",
        attack: "the upstream's name as the user of another host",
        written: naming("api.test@evil.test"),
        but: &[NO_ROUTE],
        ..GET
    },
    Case {
        name: "destination-nul",
        attack: "NUL in the host, where a C string would end",
        written: naming("api.test\0.evil.test"),
        expect: Rejected(400),
        but: ONLY_HTTP_SAYS,
    },
    Case {
        name: "destination-punycode-of-ascii",
        attack: "a label that decodes to plain ASCII",
        written: naming("xn--api-.test"),
        but: &[NO_ROUTE],
        ..GET
    },
    Case { name: "destination-no-host", attack: "no Host at all", written: Written::Raw("GET {target}/hello HTTP/1.1\r\n\r\n"), ..GET },
    Case {
        name: "destination-two-hosts",
        attack: "two Host fields: the first decides, the last is sent",
        written: hosts(&["{}", "evil.test"]),
        ..GET
    },
    Case { name: "destination-two-equal-hosts", attack: "two Host fields that agree", written: hosts(&["{}", "{}"]), ..GET },
    Case { name: "destination-host-list", attack: "a list in Host", written: hosts(&["{}, evil.test"]), ..GET },
    Case { name: "destination-host-with-space", attack: "a space in Host", written: hosts(&["api.test evil.test"]), ..GET },
    Case { name: "destination-host-with-user", attack: "user information in Host", written: hosts(&["user@{}"]), ..GET },
    Case {
        name: "destination-forwarded",
        attack: "fields by which reverse proxies choose a host: they choose nothing here",
        written: Written::Asked(Asked {
            headers: &[("X-Forwarded-Host", "evil.test"), ("Forwarded", "host=evil.test;proto=http"), ("X-Host", "evil.test")],
            ..Asked::GET
        }),
        expect: Carried(&[]),
        ..GET
    },
    Case {
        name: "destination-ftp",
        attack: "a scheme that is not HTTP",
        written: Written::Raw("GET ftp://{}/hello HTTP/1.1\r\nHost: {}\r\n\r\n"),
        but: &[NO_ROUTE],
        ..GET
    },
    Case {
        name: "destination-authority-form",
        attack: "the form of CONNECT on another method",
        written: Written::Raw("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n"),
        but: &[],
        ..GET
    },
    Case {
        name: "destination-route-rebound",
        attack: "a route under a name that was re-bound to loopback",
        written: Written::Raw("GET /api/hello HTTP/1.1\r\nHost: rebound.test\r\n\r\n"),
        expect: MISDIRECTED,
        but: &[],
    },
    Case {
        name: "destination-route-unknown",
        attack: "a route that no rule has, and one spelled in escapes",
        written: Written::Raw("GET /%61pi/hello HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"),
        expect: UNKNOWN,
        but: &[(Way::ConnectH1, MISDIRECTED)],
    },
    Case {
        name: "connect-refused-with-bytes-behind",
        attack: "a CONNECT that is refused, and behind it a request that must not be read as one (RFC 9931)",
        written: Written::Connect(
            "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\nGET https://{}/hello HTTP/1.1\r\nHost: {}\r\n\r\n",
        ),
        expect: UNKNOWN,
        but: &[],
    },
    Case {
        name: "connect-host-says-another",
        attack: "CONNECT names the upstream, and Host somebody else",
        written: Written::Connect("CONNECT {} HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
        ..GET
    },
    Case {
        name: "connect-padded-port",
        attack: "a port with a leading zero",
        written: Written::Connect("CONNECT api.test:0443 HTTP/1.1\r\nHost: api.test:0443\r\n\r\n"),
        ..GET
    },
    Case {
        name: "connect-empty-port",
        attack: "a colon without a port",
        written: Written::Connect("CONNECT api.test: HTTP/1.1\r\nHost: api.test:\r\n\r\n"),
        ..GET
    },
    Case {
        name: "connect-no-port",
        attack: "no port",
        written: Written::Connect("CONNECT api.test HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        ..GET
    },
    Case {
        name: "connect-signed-port",
        attack: "a port with a sign",
        written: Written::Connect("CONNECT api.test:+443 HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        ..GET
    },
    Case {
        name: "connect-port-too-large",
        attack: "a port that does not fit",
        written: Written::Connect("CONNECT api.test:99999 HTTP/1.1\r\nHost: api.test:99999\r\n\r\n"),
        ..GET
    },
    Case {
        name: "connect-user-information",
        attack: "user information",
        written: Written::Connect("CONNECT user@{} HTTP/1.1\r\nHost: {}\r\n\r\n"),
        ..GET
    },
    Case {
        name: "connect-as-http10",
        attack: "HTTP/1.0, and behind it a request",
        written: Written::Connect("CONNECT evil.test:443 HTTP/1.0\r\n\r\nGET https://{}/hello HTTP/1.1\r\nHost: {}\r\n\r\n"),
        expect: UNKNOWN,
        ..GET
    },
];
