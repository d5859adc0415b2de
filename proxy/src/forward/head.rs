//! What belongs to one connection only, and never travels on (RFC 9110, section 7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Whether a field is always hop-by-hop. What frames a message is, also by the names that CGI cannot tell from its own.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content_length"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "transfer_encoding"
            | "upgrade"
    )
}

/// Fields with which a caller may override method or path behind the policy's back.
const OVERRIDES: [&str; 5] = ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"];

/// Removes what belongs to the caller's connection, and what it nominates. Comes before injection, so it can never remove an injected slot.
///
/// `TE: trailers` stays: gRPC asks for it. `Content-Length` goes too: the body is framed anew.
pub fn leave_hop(headers: &mut HeaderMap) {
    let trailers = headers.get_all(header::TE).iter().any(|value| lists(value, "trailers"));
    leave_nominated(headers);
    leave(headers, |name| is_hop_by_hop(name) || name == header::CONTENT_LENGTH || name == header::EXPECT);
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes what belongs to the upstream's connection, and Alt-Svc, which would lead the caller past keygress.
pub fn leave_hop_back(headers: &mut HeaderMap) {
    leave_nominated(headers);
    // Transfer-Encoding has the last word on the length (RFC 9112, section 6.3); the body is framed anew.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    leave(headers, |name| is_hop_by_hop(name) || name == header::ALT_SVC);
}

/// Removes override headers, whatever the rule: an `except` of another rule for the host holds too. `_` stands for `-` too: CGI and WSGI cannot tell them apart.
pub fn leave_overrides(headers: &mut HeaderMap) {
    leave(headers, |name| {
        let name = name.as_str();
        // Their first letter tells nearly every other field apart.
        name.starts_with('x') && OVERRIDES.iter().any(|listed| listed.len() == name.len() && listed.bytes().eq(name.bytes().map(folded)))
    });
}

fn folded(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

/// Removes every field that `goes`. One look at each of the few names that are there costs less than hashing all that might be.
fn leave(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| goes(name)).cloned() {
        headers.remove(name);
    }
}

/// Whether a comma-separated list holds this token, whatever its case.
#[must_use]
pub fn lists(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|text| text.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
}

fn leave_nominated(headers: &mut HeaderMap) {
    // What nearly every connection says of itself nominates nothing that would stay otherwise.
    let says_more =
        |value: &HeaderValue| !["keep-alive", "close"].iter().any(|usual| value.as_bytes().eq_ignore_ascii_case(usual.as_bytes()));
    if !headers.get_all(header::CONNECTION).iter().any(says_more) {
        return;
    }
    let nominated: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|item| HeaderName::try_from(item.trim()).ok())
        .collect();
    for name in nominated {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_connection_nominates_goes_and_te_trailers_stays() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "X-Mine, keep-alive"),
            ("x-mine", "1"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("proxy-authorization", "Basic eA=="),
            ("accept", "*/*"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        leave_hop(&mut headers);
        assert_eq!(headers.len(), 2, "{headers:?}");
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["accept"], "*/*");
    }
}
