//! Which resource is meant: a path that can be read in two ways is refused where a rule names paths.

use super::{Asked, Case, Expect, GET, Written};
use crate::attack::way::Way;
use Expect::{Carried, Refused, Rejected};

const AMBIGUOUS: Expect = Refused(400, "path_ambiguous");

const fn path(path: &'static str) -> Written {
    Written::Asked(Asked { path, ..Asked::GET })
}

const fn ambiguous(name: &'static str, attack: &'static str, spelled: &'static str) -> Case {
    Case { name, attack, written: path(spelled), expect: AMBIGUOUS, but: &[] }
}

/// The table.
pub const CASES: &[Case] = &[
    ambiguous("path-dot-dot", "up, out of what the rule allows", "/a/../except/b"),
    ambiguous("path-dot", "a segment that some drop", "/a/./b"),
    ambiguous("path-encoded-dots", "the same in escapes", "/%2e%2e/except/b"),
    ambiguous("path-half-encoded-dots", "the same in one escape", "/a/.%2e/except/b"),
    ambiguous("path-encoded-slash", "a slash that is none until it is decoded", "/a%2F..%2Fexcept"),
    ambiguous("path-backslash", "a backslash, which some turn round", "/a\\..\\except"),
    ambiguous("path-encoded-backslash", "the same in an escape", "/a%5C..%5Cexcept"),
    ambiguous("path-empty-segment", "two slashes, which some fold", "//except/b"),
    ambiguous("path-empty-segment-inside", "the same further in", "/a//b"),
    ambiguous("path-parameter", "a parameter of a segment, which some cut off", "/except;x/b"),
    ambiguous("path-dot-dot-parameter", "up, with a parameter", "/a/..;/except/b"),
    ambiguous("path-encoded-semicolon", "the same in an escape", "/except%3Bx/b"),
    ambiguous("path-nul", "NUL, where a C string would end", "/except%00x"),
    ambiguous("path-line-end", "a line end in an escape", "/a%0d%0ab"),
    ambiguous("path-broken-escape", "an escape that is none", "/a%zzb"),
    ambiguous("path-cut-escape", "an escape that ends too early", "/a%2"),
    ambiguous("path-encoded-twice", "an escape of an escape", "/a%252Fb"),
    ambiguous("path-encoded-twice-in-part", "an escape of an escape, whose digits are escaped too", "/a%25%32%46b"),
    ambiguous("path-encoded-twice-dots", "the same for dots", "/%25%32%65%25%32%65/except/b"),
    ambiguous("path-overlong", "a slash in overlong UTF-8", "/a%c0%afb"),
    ambiguous("path-not-utf8", "bytes that are no UTF-8", "/a%ffb"),
    Case { name: "path-excepted", attack: "what the rule excepts", written: path("/except/b"), expect: Refused(403, "excepted"), ..GET },
    Case {
        name: "path-excepted-in-escapes",
        attack: "the same, spelled in escapes",
        written: path("/%65xcept/b"),
        expect: Refused(403, "excepted"),
        ..GET
    },
    Case {
        name: "path-excepted-by-override",
        attack: "what is excepted, named in fields by which frameworks choose another path or method",
        written: Written::Asked(Asked {
            headers: &[
                ("X-Original-URL", "/except/b"),
                ("X-Rewrite-URL", "/except/b"),
                ("X-HTTP-Method-Override", "DELETE"),
                ("X-HTTP-Method", "DELETE"),
                ("X-Method-Override", "DELETE"),
                ("X_Original_URL", "/except/b"),
                ("X-HTTP_Method-Override", "DELETE"),
            ],
            ..Asked::POST
        }),
        expect: Carried(&["/except", "delete", "override"]),
        ..GET
    },
    Case {
        name: "path-query-looks-like-path",
        attack: "dots in the query, where they mean nothing",
        written: path("/hello?x=/../except"),
        expect: Carried(&[]),
        ..GET
    },
    Case {
        name: "path-fragment",
        attack: "a fragment, which is never sent",
        written: path("/hello#/except"),
        expect: Carried(&["#", "except"]),
        but: &[],
    },
    Case {
        name: "path-raw-utf8",
        attack: "characters that are not ASCII",
        written: path("/caf\u{e9}"),
        expect: AMBIGUOUS,
        but: &[(Way::ConnectH2, AMBIGUOUS)],
    },
    Case {
        name: "path-space",
        attack: "a space, which ends the target for some",
        written: Written::Raw("GET {target}/hello world HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
    Case {
        name: "path-tab",
        attack: "a tab",
        written: Written::Raw("GET {target}/hello\tworld HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        expect: Rejected(400),
        ..GET
    },
];
