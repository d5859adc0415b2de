//! Text as it stands in HTML and SVG.

/// Text without meaning as markup.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The class of a contender: its colour is the same in every plot of a page.
pub(super) fn class(contender: &str) -> &'static str {
    match contender {
        "nginx" => "c-nginx",
        "haproxy" => "c-haproxy",
        "envoy" => "c-envoy",
        "squid" => "c-squid",
        "mitmproxy" => "c-mitmproxy",
        "floor" => "c-floor",
        "direct" => "c-direct",
        name if name.starts_with("keygress") => "c-keygress",
        _ => "c-other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_markup() {
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
