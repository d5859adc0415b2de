//! The heads: what a request asks for so that its answer can be searched, and the header and trailer fields of the answer.

use http::header::{ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, IF_RANGE, RANGE, SEC_WEBSOCKET_EXTENSIONS};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::coding::Coding;
use super::window::masked;
use crate::needles::Needles;

/// What says how the bytes of a coding hash: no longer true once it is taken off.
static DIGESTS: [HeaderName; 3] =
    [HeaderName::from_static("content-digest"), HeaderName::from_static("repr-digest"), HeaderName::from_static("content-md5")];

/// Compression of single messages inside a body or a WebSocket: not asked for, as it could not be taken off.
static OF_MESSAGES: [HeaderName; 3] =
    [SEC_WEBSOCKET_EXTENSIONS, HeaderName::from_static("grpc-accept-encoding"), HeaderName::from_static("connect-accept-encoding")];

/// Makes a request ask for what can be searched: whole (a range could split a secret between two answers), in a coding that can be
/// taken off, and without the compression of single messages.
pub fn ask(headers: &mut HeaderMap) {
    headers.remove(RANGE);
    headers.remove(IF_RANGE);
    for name in &OF_MESSAGES {
        headers.remove(name);
    }
    let known = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.split(',').all(is_known));
    if headers.get_all(ACCEPT_ENCODING).iter().all(known) {
        return;
    }
    let kept: Vec<&str> = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty() && is_known(item))
        .collect();
    // Nothing left means: as it is (RFC 9110, section 12.5.3).
    let kept = if kept.is_empty() { "identity".to_owned() } else { kept.join(", ") };
    headers.insert(ACCEPT_ENCODING, HeaderValue::try_from(kept).unwrap_or(HeaderValue::from_static("identity")));
}

/// Whether an item of Accept-Encoding names a coding that can be taken off, or none; `*` could mean any.
fn is_known(item: &str) -> bool {
    let name = item.split(';').next().unwrap_or_default().trim();
    name.is_empty() || name.eq_ignore_ascii_case("identity") || Coding::named(name).is_some()
}

/// The coding of an answer: `Ok(None)` where it has none.
///
/// # Errors
/// Where it is unknown, or there is more than one.
pub(super) fn coding(headers: &HeaderMap) -> Result<Option<Coding>, &'static str> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut found = None;
    for name in codings.by_ref().map(<[u8]>::trim_ascii) {
        if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
            continue;
        }
        if found.is_some() {
            return Err("the answer is coded more than once");
        }
        let coding = std::str::from_utf8(name).ok().and_then(Coding::named);
        found = Some(coding.ok_or("the answer is in a coding that cannot be taken off")?);
    }
    Ok(found)
}

/// What is true of an answer whose coding was taken off: no length yet, no digests, and an entity tag that no longer stands for the
/// same bytes (RFC 9110, section 8.8.1).
pub(super) fn uncoded(headers: &mut HeaderMap) {
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    for name in &DIGESTS {
        headers.remove(name);
    }
    let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else { return };
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => headers.insert(ETAG, weak),
        Err(_) => headers.remove(ETAG),
    };
}

/// What is true of an answer to a request that cannot ask for ranges.
pub(super) fn whole(headers: &mut HeaderMap) {
    headers.remove(ACCEPT_RANGES);
}

/// Masks header or trailer fields at equal length, and drops those whose very name must not come back. Returns how many it touched.
pub fn fields(needles: &Needles, headers: &mut HeaderMap) -> u64 {
    let mut touched = 0;
    for value in headers.values_mut() {
        if let Some(masked) = masked(needles, value.as_bytes()) {
            // Stars cannot make a valid value invalid.
            *value = HeaderValue::from_bytes(&masked).unwrap_or(HeaderValue::from_static("***"));
            touched += 1;
        }
    }
    let named: Vec<HeaderName> = headers.keys().filter(|name| masked(needles, name.as_str().as_bytes()).is_some()).cloned().collect();
    for name in named {
        headers.remove(name);
        touched += 1;
    }
    touched
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_request_asks_for_what_can_be_searched() {
        for (sent, asked) in [
            ("gzip, deflate, br, zstd", "gzip, deflate, br, zstd"),
            ("gzip;q=1.0, compress;q=0.5", "gzip;q=1.0"),
            ("*", "identity"),
            ("dcb, dcz", "identity"),
            ("x-gzip , *;q=0", "x-gzip"),
            ("identity", "identity"),
            ("", ""),
            ("GZip;q=0.5,pack200-gzip", "GZip;q=0.5"),
        ] {
            let mut headers =
                headers(&[("range", "bytes=0-9"), ("if-range", "\"a\""), ("grpc-accept-encoding", "gzip"), ("accept-encoding", sent)]);
            ask(&mut headers);
            assert_eq!(headers.get_all("accept-encoding").iter().collect::<Vec<_>>(), [asked], "{sent}");
            assert_eq!(headers.len(), 1, "{headers:?}");
        }
        let mut two = headers(&[("accept-encoding", "br"), ("accept-encoding", "compress, gzip")]);
        ask(&mut two);
        assert_eq!(two["accept-encoding"], "br, gzip");
        let mut none = HeaderMap::new();
        ask(&mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn a_coding_is_one_that_is_known_or_the_answer_fails() {
        for (fields, expected) in [
            (&[][..], Some(None)),
            (&[("content-encoding", "identity")][..], Some(None)),
            (&[("content-encoding", "GZip")][..], Some(Some(Coding::Gzip))),
            (&[("content-encoding", "identity, br")][..], Some(Some(Coding::Brotli))),
            (&[("content-encoding", "zstd")][..], Some(Some(Coding::Zstandard))),
            (&[("content-encoding", "deflate")][..], Some(Some(Coding::Deflate))),
            (&[("content-encoding", "gzip, gzip")][..], None),
            (&[("content-encoding", "gzip"), ("content-encoding", "br")][..], None),
            (&[("content-encoding", "compress")][..], None),
            (&[("content-encoding", "aws-chunked")][..], None),
            (&[("content-encoding", "gzip;q=1")][..], None),
        ] {
            assert_eq!(coding(&headers(fields)).ok(), expected, "{fields:?}");
        }
    }

    #[test]
    fn what_the_coding_made_true_goes_with_it() {
        let mut headers = headers(&[
            ("content-encoding", "gzip"),
            ("content-length", "20"),
            ("content-digest", "sha-256=:x:"),
            ("etag", "\"abc\""),
            ("vary", "accept-encoding"),
        ]);
        uncoded(&mut headers);
        assert_eq!(headers.len(), 2, "{headers:?}");
        assert_eq!(
            (&headers["etag"], &headers["vary"]),
            (&HeaderValue::from_static("W/\"abc\""), &HeaderValue::from_static("accept-encoding"))
        );
        uncoded(&mut headers);
        assert_eq!(headers["etag"], "W/\"abc\"");
    }

    #[test]
    fn fields_are_masked_and_names_dropped() {
        use keygress_policy::material::Secret;

        let needles = Needles::compile(&[Secret::new(b"s3cr3t-value".to_vec())]).unwrap();
        let mut headers = headers(&[
            ("set-cookie", "a=s3cr3t-value; b=s3cr3t-value"),
            ("x-hex", "7333637233742D76616c7565"),
            ("grpc-message", "no%20s3cr3t%2dvalue%21"),
            ("x-s3cr3t-value", "1"),
            ("x-other", "s3cr3t-val"),
        ]);
        assert_eq!(fields(&needles, &mut headers), 4);
        assert_eq!(headers["set-cookie"], "a=************; b=************");
        assert_eq!(headers["x-hex"], "************************");
        assert_eq!(headers["grpc-message"], "no%20**************%21");
        assert_eq!(headers["x-other"], "s3cr3t-val");
        assert_eq!(headers.len(), 4);
        assert_eq!(fields(&needles, &mut headers), 0);
    }
}
