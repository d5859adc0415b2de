use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// What a browser may do with the page: load its own parts, ask its own server, and make no text into markup (Trusted Types).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! part {
    ($path:literal, $kind:ident, $file:literal) => {
        ($path, $kind, include_str!(concat!("page/", $file)))
    };
}

/// The parts of the page: path, kind, text.
const PARTS: [(&str, &str, &str); 17] = [
    part!("/", HTML, "index.html"),
    part!("/style.css", STYLE, "style.css"),
    part!("/icon.svg", IMAGE, "icon.svg"),
    part!("/main.js", SCRIPT, "main.js"),
    part!("/ask.js", SCRIPT, "ask.js"),
    part!("/build.js", SCRIPT, "build.js"),
    part!("/words.js", SCRIPT, "words.js"),
    part!("/confirm.js", SCRIPT, "confirm.js"),
    part!("/overview.js", SCRIPT, "overview.js"),
    part!("/credentials.js", SCRIPT, "credentials.js"),
    part!("/credential.js", SCRIPT, "credential.js"),
    part!("/leases.js", SCRIPT, "leases.js"),
    part!("/events.js", SCRIPT, "events.js"),
    part!("/policy.js", SCRIPT, "policy.js"),
    part!("/explain.js", SCRIPT, "explain.js"),
    part!("/alerts.js", SCRIPT, "alerts.js"),
    part!("/stops.js", SCRIPT, "stops.js"),
];

/// The kind and the text of a part.
pub(super) fn part(path: &str) -> Option<(&'static str, &'static str)> {
    PARTS.iter().find(|(known, _, _)| *known == path).map(|(_, kind, text)| (*kind, *text))
}

/// What every answer says to the browser.
pub(super) fn harden(headers: &mut HeaderMap) {
    let fields = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    headers.extend(fields.map(|(name, value)| (name, HeaderValue::from_static(value))));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All parts together, in bytes.
    const PAGE_BYTES_MAX: usize = 68 * 1024;

    #[test]
    fn the_page_is_small_and_needs_nothing_from_elsewhere() {
        let bytes: usize = PARTS.iter().map(|(_, _, text)| text.len()).sum();
        assert!(bytes <= PAGE_BYTES_MAX, "{bytes} bytes");
        for (path, _, text) in PARTS {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for foreign in [
                "http://",
                "//cdn",
                "@import",
                "url(",
                "eval(",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                " style=",
                " onclick=",
            ] {
                // The form for a question shows what an address looks like.
                let text = text.replace("https://api.example.com", "");
                assert!(!text.contains(foreign) && !text.contains("https://"), "{path} holds `{foreign}`, or an address");
            }
        }
    }

    #[test]
    fn every_part_that_is_named_is_there() {
        let scripts = PARTS.iter().filter(|(_, kind, _)| *kind == SCRIPT);
        let mut imports = 0;
        for (path, _, text) in scripts {
            for rest in text.lines().filter_map(|line| line.strip_prefix("import ")?.split_once(" from \"./")).map(|(_, rest)| rest) {
                let name = rest.split('"').next().unwrap();
                assert!(part(&format!("/{name}")).is_some(), "{path} imports {name}");
                imports += 1;
            }
        }
        assert!(imports > 10);
        let (_, page) = part("/").unwrap();
        assert!(page.contains(r#"src="/main.js""#) && page.contains(r#"href="/style.css""#) && page.contains(r#"href="/icon.svg""#));
        assert!(!page.contains("<script>") && !page.contains("<style"));
    }
}
