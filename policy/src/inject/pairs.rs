use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode;

/// One `key=value` of a query, still encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'q> {
    pub(super) key: &'q str,
    pub(super) value: &'q str,
}

impl<'q> Pair<'q> {
    fn new(text: &'q str) -> Self {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        Self { key, value }
    }
}

/// The pairs of a query. Some upstreams split at `;` too, so we do.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query.split(['&', ';']).map(Pair::new)
}

/// Percent-decodes as forms do, where `+` is a space.
pub(super) fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        Cow::Owned(percent_decode(spaced.as_bytes()).collect())
    } else {
        percent_decode(text.as_bytes()).into()
    }
}

/// Whether some upstream may read an encoded key as this one: in another case, with space around it, cut at a NUL, or as an array (`key[]`).
pub(super) fn is_spelling_of(encoded: &str, key: &str) -> bool {
    let decoded = decode(encoded);
    let end = decoded.iter().position(|byte| matches!(byte, 0 | b'[')).unwrap_or(decoded.len());
    decoded.get(..end).is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(key.as_bytes()))
}

/// The query without the pairs for which `drop` says so, all other bytes as they were; `None` where no pair is dropped.
pub(super) fn without(query: &str, drop: impl Fn(Pair<'_>) -> bool) -> Option<String> {
    if !pairs(query).any(&drop) {
        return None;
    }
    let mut kept = String::with_capacity(query.len());
    for piece in query.split_inclusive(['&', ';']) {
        if !drop(Pair::new(piece.trim_end_matches(['&', ';']))) {
            kept.push_str(piece);
        }
    }
    if !query.ends_with(['&', ';']) && kept.ends_with(['&', ';']) {
        kept.pop();
    }
    Some(kept)
}

/// The same URI with another query. An empty query goes with its `?`.
pub(super) fn with_query(uri: &Uri, query: &str) -> Result<Uri, String> {
    let path = uri.path();
    let mut text = String::with_capacity(path.len() + 1 + query.len());
    text.push_str(path);
    if !query.is_empty() {
        text.push('?');
        text.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).map_err(|_| "the URI would be too long".to_owned())?);
    Uri::from_parts(parts).map_err(|_| "the URI cannot carry a query".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_pairs_keep_every_byte() {
        let drop = |pair: Pair<'_>| is_spelling_of(pair.key, "key");
        for (query, kept) in [
            ("key=1", ""),
            ("a=%41&key=1&b=+", "a=%41&b=+"),
            ("key=1&a", "a"),
            ("a&key=1", "a"),
            ("a=1;key=2;b", "a=1;b"),
            ("a=1;key=2", "a=1"),
            ("&&key&&a=", "&&&a="),
            ("%6bey=1&k%65y=2&KEY=3&+key=4&key[]=5&key%5b0%5d=6&key%00x=7&a", "a"),
        ] {
            assert_eq!(without(query, drop).as_deref(), Some(kept), "{query}");
        }
        for query in ["", "a=key", "keys=1", "%256bey=1", "a&&b", "monkey=1"] {
            assert_eq!(without(query, drop), None, "{query}");
        }
    }
}
