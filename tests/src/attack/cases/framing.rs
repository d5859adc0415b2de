//! Where a request ends and the next begins (RFC 9112, sections 2 to 7): what two readers could cut differently is refused, or written anew.

use super::{Asked, Case, Expect, GET, Written};
use crate::attack::way::Way;
use Expect::{Carried, Refused, Rejected, Unwritable};

/// What would be a request of its own if the one before ended too early.
macro_rules! smuggled {
    () => {
        "GET {target}/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
    };
}

const CODING: Expect = Refused(501, "coding_not_carried");
const METHOD: Expect = Refused(405, "method_not_carried");

const fn method(method: &'static str) -> Written {
    Written::Asked(Asked { method, ..Asked::GET })
}

/// The table.
pub const CASES: &[Case] = &[
    Case {
        name: "framing-length-and-coding",
        attack: "Content-Length beside Transfer-Encoding (CL.TE): the body is what the chunks say, and nothing behind them is a request",
        written: Written::Raw(concat!(
            "POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            smuggled!()
        )),
        expect: Carried(&["smuggled", "content-length: 6"]),
        ..GET
    },
    Case {
        name: "framing-coding-and-length",
        attack: "the same with a chunk that holds a request (TE.CL)",
        written: Written::Raw(
            "POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        expect: Carried(&["content-length: 3"]),
        ..GET
    },
    Case {
        name: "framing-two-lengths",
        attack: "two lengths that disagree",
        written: Written::Raw(concat!(
            "POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
            smuggled!()
        )),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-length-list",
        attack: "a list of lengths",
        written: Written::Raw("POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5, 6\r\n\r\nhello!"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-signed-length",
        attack: "a length with a sign",
        written: Written::Raw("POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nContent-Length: +5\r\n\r\nhello"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-negative-length",
        attack: "a length below nothing",
        written: Written::Raw("POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nContent-Length: -5\r\n\r\nhello"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-hex-length",
        attack: "a length in hexadecimal",
        written: Written::Raw("POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0x5\r\n\r\nhello"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-huge-length",
        attack: "a length that overflows",
        written: Written::Raw("POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999999999999999\r\n\r\nhello"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-other-coding",
        attack: "a coding before chunked, which hyper does not take off",
        written: Written::Raw("POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        expect: CODING,
        ..GET
    },
    Case {
        name: "framing-two-codings",
        attack: "two fields of codings",
        written: Written::Raw(
            "POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        expect: CODING,
        ..GET
    },
    Case {
        name: "framing-chunked-twice",
        attack: "chunked twice",
        written: Written::Raw("POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        expect: CODING,
        ..GET
    },
    Case {
        name: "framing-chunked-not-last",
        attack: "chunked, but not at the end",
        written: Written::Raw("POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-misspelt-coding",
        attack: "a coding that one reader takes for chunked (TE.TE)",
        written: Written::Raw(concat!(
            "POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            smuggled!()
        )),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-space-before-colon",
        attack: "a space before the colon, which readers disagree on",
        written: Written::Raw("POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-folded-field",
        attack: "a field over two lines (obs-fold)",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nX-Folded: a\r\n b\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-folded-coding",
        attack: "a coding over two lines",
        written: Written::Raw("POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-bare-cr",
        attack: "a carriage return inside a value",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nX-Bare: a\rX-Smuggled: b\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-nul-in-value",
        attack: "NUL in a value",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nX-Nul: a\0b\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-bad-name",
        attack: "a field name that is none",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nX[]: a\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-no-colon",
        attack: "a line that is no field",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nnothing\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-bare-lf",
        attack: "line ends without a carriage return: they are written anew",
        written: Written::Raw("GET {target}/hello HTTP/1.1\nHost: {host}\r\nConnection: close\n\n"),
        expect: Carried(&[]),
        ..GET
    },
    Case {
        name: "framing-chunk-size-overflow",
        attack: "a chunk size that overflows",
        written: Written::Raw(
            "POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        ),
        expect: Refused(400, "bad_request"),
        ..GET
    },
    Case {
        name: "framing-chunk-extension",
        attack: "an extension of a chunk with a request in it: it is not passed on",
        written: Written::Raw(
            "POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5;smuggled=\"GET / HTTP/1.1\"\r\nhello\r\n0\r\n\r\n",
        ),
        expect: Carried(&["smuggled"]),
        ..GET
    },
    Case {
        name: "framing-trailers",
        attack: "trailers that would be fields: only those that the rule names pass",
        written: Written::Raw(
            "POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: x-kept, authorization\r\n\r\n5\r\nhello\r\n0\r\nx-kept: yes\r\nauthorization: Bearer trailing\r\ncontent-length: 99\r\nhost: evil.test\r\n\r\n",
        ),
        expect: Carried(&["trailing", "content-length: 99", "evil.test"]),
        ..GET
    },
    Case {
        name: "framing-body-that-is-a-request",
        attack: "a body that reads like a request",
        written: Written::Asked(Asked { body: Some("GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n"), ..Asked::POST }),
        expect: Carried(&["\r\nget /smuggled-"]),
        ..GET
    },
    Case {
        name: "framing-get-with-hidden-request",
        attack: "a GET that says its body has no length, with a request behind it",
        written: Written::Raw(concat!(
            "GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            smuggled!()
        )),
        expect: Carried(&["smuggled"]),
        ..GET
    },
    Case {
        name: "framing-hop-by-hop",
        attack: "Connection names the injected slot and Host, so that a later step would drop them",
        written: Written::Asked(Asked {
            headers: &[
                ("Connection", "close, authorization, host, x-mine, cookie"),
                ("X-Mine", "mine"),
                ("Keep-Alive", "timeout=9"),
                ("Proxy-Connection", "keep-alive"),
                ("TE", "gzip"),
            ],
            ..Asked::GET
        }),
        expect: Carried(&["mine", "keep-alive", "proxy-connection", "te: gzip"]),
        // HTTP/2 knows no such fields (RFC 9113, section 8.2.2).
        but: &[(Way::ConnectH2, Rejected(0))],
    },
    Case {
        name: "framing-h2c",
        attack: "an upgrade to HTTP/2 in the clear, behind which nobody would look",
        written: Written::Asked(Asked {
            headers: &[("Connection", "Upgrade, HTTP2-Settings, close"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")],
            ..Asked::GET
        }),
        expect: Carried(&["h2c", "http2-settings", "upgrade"]),
        but: &[(Way::ConnectH2, Rejected(0))],
    },
    Case {
        name: "framing-upgrade-that-nobody-answers",
        attack: "an upgrade that the upstream does not make, with a request behind it (premature upgrade)",
        written: Written::Raw(concat!(
            "GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            smuggled!()
        )),
        expect: Carried(&["smuggled"]),
        ..GET
    },
    Case {
        name: "framing-http10-chunked",
        attack: "chunks in HTTP/1.0, which knows none",
        written: Written::Raw("POST {target}/mirror HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-http09",
        attack: "a request without a version",
        written: Written::Raw("GET {target}/hello\r\n\r\n"),
        expect: Rejected(400),
        but: &[],
    },
    Case {
        name: "framing-other-version",
        attack: "a version that does not exist",
        written: Written::Raw("GET {target}/hello HTTP/9.9\r\nHost: {host}\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "framing-preface-on-http1",
        attack: "the preface of HTTP/2 where HTTP/1.1 is spoken",
        written: Written::Raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        expect: Rejected(0),
        ..GET
    },
    Case {
        name: "framing-tls-on-http",
        attack: "a ClientHello where HTTP is spoken",
        written: Written::Raw("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "method-lower-case",
        attack: "a method in lower case, which some upstreams fold",
        written: method("get"),
        expect: METHOD,
        ..GET
    },
    Case { name: "method-unknown", attack: "a method that is none", written: method("GE!T"), expect: METHOD, ..GET },
    Case {
        name: "method-trace",
        attack: "TRACE: the upstream would send the credential back",
        written: method("TRACE"),
        expect: METHOD,
        ..GET
    },
    Case { name: "method-track", attack: "TRACK: the same by another name", written: method("TRACK"), expect: METHOD, ..GET },
    Case {
        name: "method-options-star",
        attack: "OPTIONS of the whole server",
        written: Written::Raw("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        expect: METHOD,
        ..GET
    },
    Case {
        name: "method-connect-inside",
        attack: "CONNECT inside an intercepted connection",
        written: Written::Raw("CONNECT {} HTTP/1.1\r\nHost: {}\r\n\r\n"),
        expect: Unwritable,
        but: &[(Way::ConnectH1, METHOD)],
    },
    Case {
        name: "method-not-allowed",
        attack: "a method that the rule does not allow",
        written: method("DELETE"),
        expect: Refused(403, "not_allowed"),
        ..GET
    },
];
