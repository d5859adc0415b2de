use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use http::uri::Authority;
use keygress_policy::destination::{Host, parse_authority, path_ambiguity};

/// What hosts are made of, and what other readers repair.
pub(super) const HOST_WORDS: &[&str] = &[
    "api.test",
    "127.0.0.1",
    "127.1",
    "0x7f",
    "2130706433",
    "0177.0.0.1",
    "[::1]",
    "[::ffff:1.2.3.4]",
    "[fe80::1%25eth0]",
    "xn--",
    "xn--bcher-kva",
    ":443",
    ":0443",
    ":99999",
    ":",
    "@",
    "user:pass@",
    ".",
    "..",
    "-",
    "_",
    "%2e",
    "\u{ff0e}",
    "\u{3002}",
    "\u{2025}",
    "\u{212a}",
    "\u{ad}",
    " ",
    "\t",
    "\0",
    "\\",
    "/",
    "?",
    "#",
    "[",
    "]",
    "*",
    "localhost",
    ".local",
    "\u{130}",
    "\u{1d7d9}",
];

/// What paths are made of, and what other readers fold.
pub(super) const PATH_WORDS: &[&str] = &[
    "/",
    "//",
    "/.",
    "/..",
    "/./",
    "/../",
    "%2e",
    "%2E%2e",
    "%2f",
    "%2F",
    "%5c",
    "\\",
    ";",
    "%3b",
    ";a=b",
    "%00",
    "%25",
    "%252f",
    "%252e",
    "%c0%af",
    "%e0%80%af",
    "%ff",
    "%zz",
    "%",
    "%2",
    "?",
    "#",
    "*",
    ":",
    "@",
    "~",
    "\u{e9}",
    "\u{ff0f}",
    "\u{2215}",
    " ",
    "\t",
    "\r\n",
    "%0d%0a",
    "a",
    "except",
    "%61",
];

/// A host that is read is read the same by everybody: by the `http` crate, by the standard library, and by what repairs addresses.
pub(super) fn host(bytes: &[u8]) -> Result<()> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    let Ok((host, port)) = parse_authority(text) else { return Ok(()) };
    let shown = host.to_string();
    ensure!(Host::parse(&shown).is_ok_and(|again| again == host), "`{text}` is shown as `{shown}`, which is another");
    let theirs: Authority = text.parse().with_context(|| format!("`{text}` is no authority to the http crate"))?;
    ensure!(theirs.port_u16() == port, "`{text}` has port {port:?} here, {:?} there", theirs.port_u16());
    ensure!(
        !text.contains('@') && theirs.host().len() + port.map_or(0, |port| port.to_string().len() + 1) == text.len(),
        "`{text}` holds more"
    );
    let bare = theirs.host().trim_start_matches('[').trim_end_matches(']');
    match &host {
        Host::Ip(ip) => ensure!(bare.parse::<IpAddr>().is_ok_and(|theirs| theirs == *ip), "`{text}` is {ip} here, {bare} there"),
        Host::Name(name) => {
            ensure!(bare.parse::<IpAddr>().is_err() && !is_repaired(name), "`{text}` is an address to others");
            ensure!(bare.eq_ignore_ascii_case(name) && name.len() <= 253, "`{text}` is `{name}` here, `{bare}` there");
            ensure!(name.split('.').all(|label| (1..=63).contains(&label.len())), "`{text}` has a label that DNS does not carry");
            ensure!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte)), "`{text}`");
        }
    }
    Ok(())
}

/// Whether `inet_aton` and the URL standard take this name for an IPv4 address: one to four numbers, decimal, octal or hexadecimal.
fn is_repaired(name: &str) -> bool {
    let number = |part: &str| match part.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
    };
    // The URL standard decides by the last label alone.
    name.trim_end_matches('.').rsplit('.').next().is_some_and(number)
}

/// A path that is read has the same segments to everybody, in whatever order they decode, fold and cut.
pub(super) fn path(bytes: &[u8]) -> Result<()> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    if path_ambiguity(text).is_some() {
        return Ok(());
    }
    let plain = segments(&decoded(text.as_bytes()));
    let readers: [(&str, Vec<Vec<u8>>); 5] = [
        ("decodes, then folds", folded(segments(&decoded(text.as_bytes())))),
        ("folds, then decodes", folded(segments(text.as_bytes())).iter().map(|segment| decoded(segment)).collect()),
        ("decodes twice", folded(segments(&decoded(&decoded(text.as_bytes()))))),
        ("turns backslashes round", folded(segments(&turned(&decoded(text.as_bytes()))))),
        ("cuts parameters off", folded(segments(&decoded(text.as_bytes())).iter().map(|segment| cut(segment)).collect())),
    ];
    for (reader, read) in readers {
        // What a second decoding spells differently is text, as long as it is no other structure.
        let same = read.len() == plain.len() && (reader == "decodes twice" || read == plain);
        ensure!(same, "`{text}`: who {reader} reads {read:?}, not {plain:?}");
    }
    ensure!(std::str::from_utf8(&decoded(text.as_bytes())).is_ok(), "`{text}` does not spell UTF-8");
    ensure!(!decoded(text.as_bytes()).iter().any(|byte| *byte < 0x20 || *byte == 0x7f), "`{text}` spells a control character");
    // What the http crate refuses never comes this far.
    let theirs = text.parse::<http::uri::PathAndQuery>();
    ensure!(theirs.map_or(true, |theirs| theirs.path() == text), "`{text}` is another path to the http crate");
    Ok(())
}

fn decoded(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.filter(|digits| !digits.starts_with('+')).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value.filter(|_| *first == b'%') {
            Some(value) => {
                out.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

fn segments(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').skip(1).map(<[u8]>::to_vec).collect()
}

/// Without empty segments but the last, without dots (RFC 3986, section 5.2.4).
fn folded(segments: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let last = segments.len().saturating_sub(1);
    let mut out: Vec<Vec<u8>> = Vec::new();
    for (number, segment) in segments.into_iter().enumerate() {
        match segment.as_slice() {
            b".." => drop(out.pop()),
            b"." => {}
            b"" if number != last => {}
            _ => out.push(segment),
        }
    }
    out
}

fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

fn cut(segment: &[u8]) -> Vec<u8> {
    segment.split(|byte| *byte == b';').next().unwrap_or_default().to_vec()
}
