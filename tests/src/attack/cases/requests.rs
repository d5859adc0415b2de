//! Requests that others have published as malformed or ambiguous: HTTP/1.1 as RFC 9110 and RFC 9112 have it, and what servers and proxies
//! were found to make of it. Each says what must come of it, by every listener that reads HTTP/1.1.

use super::{Case, Expect, GET, Written};
use Expect::{Carried, Refused, Rejected};

const CODING: Expect = Refused(501, "coding_not_carried");
const METHOD: Expect = Refused(405, "method_not_carried");
const OF_REQUEST: Expect = Rejected(400);
/// The head was carried; the upstream never saw the end of the body.
const OF_BODY: Expect = Refused(400, "bad_request");

/// A first line, before a sound head.
macro_rules! line {
    ($name:literal, $attack:literal, $line:literal, $expect:expr) => {
        Case {
            name: concat!("request-", $name),
            attack: $attack,
            written: Written::Raw(concat!($line, "\r\nHost: {host}\r\nConnection: close\r\n\r\n")),
            expect: $expect,
            but: &[],
        }
    };
}

/// Fields, in a sound request without a body.
macro_rules! fields {
    ($name:literal, $attack:literal, $fields:literal, $expect:expr) => {
        Case {
            name: concat!("field-", $name),
            attack: $attack,
            written: Written::Raw(concat!("GET {target}/hello HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", $fields, "\r\n\r\n")),
            expect: $expect,
            but: &[],
        }
    };
}

/// Fields that frame, and what follows the head.
macro_rules! framed {
    ($name:literal, $attack:literal, $fields:literal, $body:literal, $expect:expr) => {
        Case {
            name: concat!("body-", $name),
            attack: $attack,
            written: Written::Raw(concat!(
                "POST {target}/mirror HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n",
                $fields,
                "\r\n\r\n",
                $body
            )),
            expect: $expect,
            but: &[],
        }
    };
}

/// A body in chunks.
macro_rules! chunks {
    ($name:literal, $attack:literal, $body:literal, $expect:expr) => {
        framed!($name, $attack, "Transfer-Encoding: chunked", $body, $expect)
    };
}

/// The table.
pub const CASES: &[Case] = &[
    // The first line (RFC 9112, sections 2 and 3).
    line!("empty-line-before", "an empty line before it, which is to be ignored", "\r\nGET {target}/hello HTTP/1.1", Carried(&[])),
    line!("space-before", "a space before it", " GET {target}/hello HTTP/1.1", OF_REQUEST),
    line!("two-spaces", "two spaces where one belongs", "GET  {target}/hello HTTP/1.1", OF_REQUEST),
    line!("two-spaces-behind", "two spaces before the version", "GET {target}/hello  HTTP/1.1", OF_REQUEST),
    line!("tabs", "tabs in place of spaces", "GET\t{target}/hello\tHTTP/1.1", OF_REQUEST),
    line!("space-behind", "a space behind it", "GET {target}/hello HTTP/1.1 ", OF_REQUEST),
    line!("no-target", "no target", "GET HTTP/1.1", OF_REQUEST),
    line!("empty-target", "an empty target", "GET  HTTP/1.1", OF_REQUEST),
    line!("bare-line-feed-inside", "a line feed in place of a space", "GET {target}/hello\nHTTP/1.1", OF_REQUEST),
    line!("bare-return", "a carriage return that ends no line", "GET {target}/hello HTTP/1.1\rX: y", OF_REQUEST),
    line!("two-returns", "two carriage returns", "GET {target}/hello HTTP/1.1\r", OF_REQUEST),
    line!("control-in-target", "a control character in the target", "GET {target}/hello\x01 HTTP/1.1", OF_REQUEST),
    line!("delete-in-target", "DEL in the target", "GET {target}/hello\x7f HTTP/1.1", OF_REQUEST),
    line!("nul-in-target", "NUL in the target", "GET {target}/hello\0 HTTP/1.1", OF_REQUEST),
    line!("asterisk", "`*` on a method that has no such target", "GET * HTTP/1.1", METHOD),
    line!("bare-word", "a target that is neither path nor URL", "GET hello HTTP/1.1", Refused(400, "bad_request")),
    line!("method-quotes", "a method of characters that no token has", "G=\":<>(e),[T];?\" {target}/hello HTTP/1.1", OF_REQUEST),
    line!("method-prefix", "a method that begins like one", "GETX {target}/hello HTTP/1.1", METHOD),
    line!("method-non-ascii", "a method of letters that are not ASCII", "G\u{c9}T {target}/hello HTTP/1.1", OF_REQUEST),
    line!("version-lower-case", "the version in lower case", "GET {target}/hello http/1.1", OF_REQUEST),
    line!("version-no-minor", "half a version", "GET {target}/hello HTTP/1", OF_REQUEST),
    line!("version-zeros", "zeros before the version", "GET {target}/hello HTTP/01.01", OF_REQUEST),
    line!("version-two-digits", "one digit too many", "GET {target}/hello HTTP/1.10", OF_REQUEST),
    line!("version-space", "a space inside the version", "GET {target}/hello HTTP/1. 1", OF_REQUEST),
    line!("version-later", "a later version, which is not spoken here", "GET {target}/hello HTTP/1.2", OF_REQUEST),
    line!("version-two", "HTTP/2 in the form of HTTP/1.1", "GET {target}/hello HTTP/2.0", OF_REQUEST),
    line!("version-zero-nine", "HTTP/0.9 by name", "GET {target}/hello HTTP/0.9", OF_REQUEST),
    line!("version-other-protocol", "another protocol", "GET {target}/hello RTSP/1.0", OF_REQUEST),
    line!("version-one-zero", "HTTP/1.0, which is spoken and closed", "GET {target}/hello HTTP/1.0", Carried(&[])),
    // Fields (RFC 9110, section 5; RFC 9112, section 5).
    fields!("no-name", "a field without a name", ": nothing", OF_REQUEST),
    fields!("colon-alone", "a colon alone, where some see the end", ":", OF_REQUEST),
    fields!("space-in-name", "a space in a name", "X A: b", OF_REQUEST),
    fields!("tab-in-name", "a tab in a name", "X\tA: b", OF_REQUEST),
    fields!("tab-before-colon", "a tab before the colon", "X-A\t: b", OF_REQUEST),
    fields!("control-in-name", "a control character in a name", "X\x01A: b", OF_REQUEST),
    fields!("nul-in-name", "NUL in a name", "X\0A: b", OF_REQUEST),
    fields!("non-ascii-name", "a name that is not ASCII", "X\u{ef}A: b", OF_REQUEST),
    fields!("parentheses-in-name", "characters in a name that no token has", "X(A): b", OF_REQUEST),
    fields!("quoted-name", "a name in quotes", "\"X-A\": b", OF_REQUEST),
    fields!("control-in-value", "a control character in a value", "X-A: b\x07c", OF_REQUEST),
    fields!("vertical-tab-in-value", "a vertical tab, which some trim", "X-A: b\x0b", OF_REQUEST),
    fields!("delete-in-value", "DEL in a value", "X-A: b\x7fc", OF_REQUEST),
    fields!("return-at-the-end", "a carriage return at the end of a value", "X-A: b\r", OF_REQUEST),
    fields!("folded-by-tab", "a field over two lines, by a tab", "X-A: b\r\n\tc", OF_REQUEST),
    fields!("line-of-spaces", "a line of spaces, where some see the end", "X-A: b\r\n \r\nX-B: c", OF_REQUEST),
    fields!("return-before-name", "a carriage return before a name", "X-A: b\r\n\rX-B: c", OF_REQUEST),
    fields!("empty-value", "an empty value, which is sound", "X-A:", Carried(&[])),
    fields!("spaces-around-value", "spaces and tabs around a value, which is sound", "X-A: \t b \t ", Carried(&["\t"])),
    fields!("text-beyond-ascii", "text beyond ASCII in a value, which is sound", "X-A: caf\u{e9}", Carried(&[])),
    fields!("expect-unknown", "an expectation that nobody knows", "Expect: the-unexpected", Carried(&["expect"])),
    fields!("upgrade-unasked", "Upgrade that Connection does not name", "Upgrade: websocket", Carried(&["upgrade"])),
    Case {
        name: "field-space-before-first",
        attack: "a space before the first field",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\n Host: {host}\r\nHost: {host}\r\n\r\n"),
        expect: OF_REQUEST,
        but: &[],
    },
    Case {
        name: "field-host-in-odd-letters",
        attack: "Host in odd letters, behind a tab: it is sound",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nhOsT:\t{host}\r\nConnection: close\r\n\r\n"),
        expect: Carried(&[]),
        but: &[],
    },
    Case {
        name: "field-host-empty",
        attack: "an empty Host",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost:\r\n\r\n"),
        ..GET
    },
    Case {
        name: "field-host-with-path",
        attack: "a path in Host",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost: {host}/hello\r\n\r\n"),
        ..GET
    },
    Case {
        name: "field-host-with-scheme",
        attack: "a URL in Host",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost: https://{host}\r\n\r\n"),
        ..GET
    },
    Case {
        name: "field-host-non-ascii",
        attack: "a Host that is not ASCII",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost: {host}\u{a0}\r\n\r\n"),
        ..GET
    },
    Case {
        name: "field-host-second-folded",
        attack: "a second Host that is folded into the first",
        written: Written::Raw("GET {target}/hello HTTP/1.1\r\nHost: {host}\r\n Host: evil.test\r\n\r\n"),
        expect: OF_REQUEST,
        but: &[],
    },
    // Lengths (RFC 9112, section 6).
    framed!("length-empty", "an empty length", "Content-Length:", "", OF_REQUEST),
    framed!("length-words", "a length in words", "Content-Length: five", "hello", OF_REQUEST),
    framed!("length-underscore", "a length as some languages write it", "Content-Length: 1_0", "helloworld", OF_REQUEST),
    framed!("length-octal", "a length with a mark of its base", "Content-Length: 0o5", "hello", OF_REQUEST),
    framed!("length-minus-zero", "a length of minus nothing", "Content-Length: -0", "", OF_REQUEST),
    framed!("length-fraction", "a length with a fraction", "Content-Length: 5.0", "hello", OF_REQUEST),
    framed!("length-exponent", "a length with an exponent", "Content-Length: 5e0", "hello", OF_REQUEST),
    framed!("length-space-inside", "a length in two words", "Content-Length: 5 0", "hello", OF_REQUEST),
    framed!(
        "length-beyond-64-bits",
        "a length that is small again where it overflows",
        "Content-Length: 18446744073709551621",
        "hello",
        OF_REQUEST
    ),
    framed!("length-full-width", "a length in digits that are not ASCII", "Content-Length: \u{ff15}", "hello", OF_REQUEST),
    framed!("length-zeros", "a length with zeros before it: it is written anew", "Content-Length: 005", "hello", Carried(&["length: 005"])),
    framed!("length-spaces", "a length between spaces: it is written anew", "Content-Length:  5 ", "hello", Carried(&["length:  5"])),
    framed!(
        "lengths-that-agree",
        "two lengths that agree: one is written",
        "Content-Length: 5\r\nContent-Length: 5",
        "hello",
        Carried(&["length: 5\r\ncontent-length: 5"])
    ),
    framed!("length-list-that-agrees", "a list of lengths that agree", "Content-Length: 5, 5", "hello", OF_REQUEST),
    framed!(
        "length-by-underscore",
        "a length by another name, which CGI cannot tell apart",
        "Content-Length: 5\r\nContent_Length: 0",
        "hello",
        Carried(&["content_length"])
    ),
    // Codings (RFC 9112, sections 6 and 7).
    framed!("coding-empty", "an empty coding", "Transfer-Encoding:", "0\r\n\r\n", OF_REQUEST),
    framed!("coding-identity", "a coding that was taken back", "Transfer-Encoding: identity\r\nContent-Length: 5", "hello", OF_REQUEST),
    framed!("coding-gzip-alone", "a coding without an end", "Transfer-Encoding: gzip", "", OF_REQUEST),
    framed!(
        "coding-capital",
        "chunked in other letters: it is sound",
        "Transfer-Encoding: CHUNKed",
        "5\r\nhello\r\n0\r\n\r\n",
        Carried(&[])
    ),
    framed!("coding-comma-behind", "an empty element behind", "Transfer-Encoding: chunked,", "0\r\n\r\n", OF_REQUEST),
    framed!("coding-comma-before", "an empty element before", "Transfer-Encoding: ,chunked", "0\r\n\r\n", CODING),
    framed!("coding-quoted", "a coding in quotes", "Transfer-Encoding: \"chunked\"", "0\r\n\r\n", OF_REQUEST),
    framed!("coding-parameter", "a coding with a parameter", "Transfer-Encoding: chunked;q=1", "0\r\n\r\n", OF_REQUEST),
    framed!("coding-vertical-tab", "a vertical tab before it, which some trim", "Transfer-Encoding: \x0bchunked", "0\r\n\r\n", OF_REQUEST),
    framed!("coding-form-feed", "a form feed behind it", "Transfer-Encoding: chunked\x0c", "0\r\n\r\n", OF_REQUEST),
    framed!("coding-nul", "NUL behind it", "Transfer-Encoding: chunked\0", "0\r\n\r\n", OF_REQUEST),
    framed!(
        "coding-no-break-space",
        "a space beyond ASCII around it, which some trim",
        "Transfer-Encoding: \u{a0}chunked",
        "0\r\n\r\n",
        OF_REQUEST
    ),
    framed!("coding-twice", "two fields that say chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n", CODING),
    framed!(
        "coding-by-underscore",
        "a coding by another name, which CGI cannot tell apart",
        "Content-Length: 5\r\nTransfer_Encoding: chunked",
        "hello",
        Carried(&["transfer_encoding"])
    ),
    framed!(
        "coding-nominated",
        "a length that Connection would take away",
        "Connection: content-length\r\nContent-Length: 5",
        "hello",
        Carried(&["connection: content-length"])
    ),
    // Chunks (RFC 9112, section 7.1).
    chunks!("chunks-upper-case", "a size in capital digits: it is sound", "A\r\nhelloworld\r\n0\r\n\r\n", Carried(&[])),
    chunks!("chunks-zeros", "a size with zeros before it: it is sound", "0005\r\nhello\r\n0000\r\n\r\n", Carried(&[])),
    chunks!("chunks-none", "no chunk but the last: it is sound", "0\r\n\r\n", Carried(&[])),
    chunks!("chunk-hexadecimal-mark", "a size with the mark of its base", "0x5\r\nhello\r\n0\r\n\r\n", OF_BODY),
    chunks!("chunk-underscore", "a size as some languages write it", "0_5\r\nhello\r\n0\r\n\r\n", OF_BODY),
    chunks!("chunk-plus", "a size with a sign", "+5\r\nhello\r\n0\r\n\r\n", OF_BODY),
    chunks!("chunk-minus", "a size below nothing", "-5\r\nhello\r\n0\r\n\r\n", OF_BODY),
    chunks!("chunk-space-before", "a space before the size", " 5\r\nhello\r\n0\r\n\r\n", OF_BODY),
    chunks!("chunk-empty-size", "no size at all, which some read as nothing", "\r\n\r\n", OF_BODY),
    chunks!("chunk-line-feed", "a line feed alone behind the size", "5\nhello\r\n0\r\n\r\n", OF_BODY),
    chunks!("chunk-return", "a carriage return alone behind the size", "5\rhello\r\n0\r\n\r\n", OF_BODY),
    chunks!(
        "chunk-extension-line-feed",
        "a line feed inside an extension, where some see the end of the line",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        OF_BODY
    ),
    chunks!("chunk-extension-return", "a carriage return inside an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", OF_BODY),
    chunks!("chunk-no-line-end", "no line end behind the data", "5\r\nhello0\r\n\r\n", OF_BODY),
    chunks!("chunk-line-feed-behind", "a line feed alone behind the data", "5\r\nhello\n0\r\n\r\n", OF_BODY),
    chunks!("chunk-too-long", "more data than the size says", "5\r\nhelloworld\r\n0\r\n\r\n", OF_BODY),
    chunks!("chunk-too-short", "less data than the size says", "6\r\nhello\r\n0\r\n\r\n", OF_BODY),
    chunks!("chunk-trailer-without-colon", "a trailer that is no field", "5\r\nhello\r\n0\r\nnothing\r\n\r\n", OF_BODY),
    chunks!("chunk-trailer-folded", "a trailer over two lines", "5\r\nhello\r\n0\r\nx-kept: a\r\n b\r\n\r\n", OF_BODY),
];
