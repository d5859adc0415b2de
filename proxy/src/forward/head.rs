//! What belongs to one connection only, and never travels on (RFC 9110, section 7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Fields that are always hop-by-hop.
static HOP_BY_HOP: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// Fields with which a caller may override method or path behind the policy's back.
static OVERRIDES: [HeaderName; 5] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// Removes what belongs to the caller's connection, and what it nominates. Comes before injection, so it can never remove an injected slot.
///
/// `TE: trailers` stays: gRPC asks for it. `Content-Length` goes too: the body is framed anew.
pub fn leave_hop(headers: &mut HeaderMap) {
    let trailers = headers.get_all(header::TE).iter().any(|value| lists(value, "trailers"));
    leave_nominated(headers);
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
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
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(header::ALT_SVC);
}

/// Removes override headers, whatever the rule: an `except` of another rule for the host holds too. `_` stands for `-` too: CGI and WSGI cannot tell them apart.
pub fn leave_overrides(headers: &mut HeaderMap) {
    let is_override = |name: &HeaderName| {
        let folded = || name.as_str().bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
        OVERRIDES.iter().any(|listed| folded().eq(listed.as_str().bytes()))
    };
    // Empty, and so without allocation, for all but a few requests.
    let found: Vec<HeaderName> = headers.keys().filter(|name| is_override(name)).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Whether a comma-separated list holds this token, whatever its case.
#[must_use]
pub fn lists(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|text| text.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
}

fn leave_nominated(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
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
