//! Whose credential, in which slot: what the application sent never arrives beside ours, and pages of browsers send nothing.

use super::{Asked, Case, Expect, GET, Written};
use crate::attack::way::Way;
use Expect::{Carried, Refused, Unwritable};

const fn with(headers: &'static [(&'static str, &'static str)]) -> Written {
    Written::Asked(Asked { headers, ..Asked::GET })
}

const PAGE: Case = Case { expect: Unwritable, but: &[(Way::Route, Refused(403, "caller_refused"))], ..GET };

/// The table.
pub const CASES: &[Case] = &[
    Case {
        name: "slot-own-authorization",
        attack: "the application's own key in the injected slot",
        written: with(&[("Authorization", "Bearer theirs")]),
        expect: Carried(&["theirs"]),
        ..GET
    },
    Case {
        name: "slot-two-authorizations",
        attack: "two of them: one might survive",
        written: with(&[("Authorization", "Bearer theirs"), ("Authorization", "Basic dGhlaXJz")]),
        expect: Carried(&["theirs", "dgh"]),
        ..GET
    },
    Case {
        name: "slot-odd-spelling",
        attack: "the slot in odd letters",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\naUTHORIZATION:Bearer theirs\r\n\r\n"),
        expect: Carried(&["theirs"]),
        ..GET
    },
    Case {
        name: "slot-other-headers",
        attack: "an attacker's own key in other slots: data would leave under it",
        written: with(&[
            ("X-Api-Key", "theirs"),
            ("Cookie", "session=theirs"),
            ("Private-Token", "theirs"),
            ("X-Goog-Api-Key", "theirs"),
            ("X-Auth-Token", "theirs"),
        ]),
        expect: Carried(&["theirs"]),
        ..GET
    },
    Case {
        name: "slot-underscores",
        attack: "the same with underscores, which CGI cannot tell from hyphens",
        written: with(&[("X_Api_Key", "theirs"), ("x-api_key", "theirs"), ("private_token", "theirs")]),
        expect: Carried(&["theirs"]),
        ..GET
    },
    Case {
        name: "slot-query",
        attack: "an attacker's own key in the query",
        written: Written::Asked(Asked { path: "/hello?access_token=theirs&api_key=theirs&X-Amz-Signature=theirs&x=1", ..Asked::GET }),
        expect: Carried(&["theirs"]),
        ..GET
    },
    Case {
        name: "slot-query-in-escapes",
        attack: "the same, spelled in escapes",
        written: Written::Asked(Asked { path: "/hello?%61ccess_token=theirs&api%5Fkey=theirs", ..Asked::GET }),
        expect: Carried(&["theirs"]),
        ..GET
    },
    Case {
        name: "slot-fields-of-proxies",
        attack: "fields in which gateways pass identities on",
        written: with(&[
            ("X-Forwarded-Access-Token", "theirs"),
            ("X-Forwarded-Authorization", "theirs"),
            ("X-Serverless-Authorization", "theirs"),
        ]),
        expect: Carried(&["theirs"]),
        ..GET
    },
    Case {
        name: "caller-wrong-token",
        attack: "a task token that no task has",
        written: Written::Raw(
            "GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nProxy-Authorization: Basic dGFzazp4\r\n\r\n",
        ),
        expect: Refused(407, "caller_unproven"),
        // Inside the tunnel it is a field like others, and is dropped.
        but: &[(Way::ConnectH1, Carried(&["proxy-authorization"]))],
    },
    Case {
        name: "caller-two-tokens",
        attack: "two proofs: one is checked, the other believed",
        written: Written::Raw(
            "GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nProxy-Authorization: Basic dGFzazp4\r\nProxy-Authorization: Bearer x\r\n\r\n",
        ),
        expect: Refused(407, "caller_unproven"),
        but: &[(Way::ConnectH1, Carried(&["proxy-authorization"]))],
    },
    Case {
        name: "caller-claims",
        attack: "fields that claim to be somebody: nobody is believed",
        written: with(&[
            ("X-Forwarded-User", "root"),
            ("X-Remote-User", "root"),
            ("X-Forwarded-For", "127.0.0.1"),
            ("X-Keygress-Task", "other"),
        ]),
        expect: Carried(&[]),
        ..GET
    },
    Case { name: "page-cross-site", attack: "a web page asks a route", written: with(&[("Sec-Fetch-Site", "cross-site")]), ..PAGE },
    Case {
        name: "page-same-origin",
        attack: "a page that one route served asks another",
        written: with(&[("Sec-Fetch-Site", "same-origin")]),
        ..PAGE
    },
    Case { name: "page-origin", attack: "a page of an older browser", written: with(&[("Origin", "https://evil.test")]), ..PAGE },
    Case { name: "page-null-origin", attack: "a page in a sandbox", written: with(&[("Origin", "null")]), ..PAGE },
];
