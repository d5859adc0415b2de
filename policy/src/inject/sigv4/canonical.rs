use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, percent_decode_str, percent_encode};

use super::super::pairs;
use super::super::query::ENCODED;

/// The same for a path, where the slash stands between segments.
const PATH_ENCODED: AsciiSet = ENCODED.remove(b'/');

/// How a service reads the path of what it verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathForm {
    /// S3: each segment decoded and encoded once; nothing is normalised, since `a//b` and `..` are names of objects.
    Once,
    /// All others: normalised, and what is encoded already is encoded again.
    Twice,
}

/// What a signature covers.
pub(super) struct Canonical<'r> {
    pub(super) method: &'r Method,
    pub(super) path: &'r str,
    pub(super) path_form: PathForm,
    pub(super) query: &'r str,
    pub(super) headers: &'r HeaderMap,
    /// Which of the headers are signed; `host` and those of `set` are anyway.
    pub(super) signs: fn(&HeaderName) -> bool,
    pub(super) authority: &'r str,
    /// Headers that are set with the signature, whatever stands in `headers`.
    pub(super) set: &'r [(HeaderName, HeaderValue)],
    pub(super) payload_hash: &'r str,
}

impl Canonical<'_> {
    /// The canonical request, and the names of the signed headers.
    pub(super) fn write(&self) -> (Vec<u8>, String) {
        let names = self.names();
        let signed = names.join(";");
        let mut text = Vec::with_capacity(1024);
        text.extend_from_slice(self.method.as_str().as_bytes());
        text.push(b'\n');
        text.extend_from_slice(path(self.path, self.path_form).as_bytes());
        text.push(b'\n');
        write_query(&mut text, self.query);
        text.push(b'\n');
        for name in &names {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            self.write_values(&mut text, name);
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(signed.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(self.payload_hash.as_bytes());
        (text, signed)
    }

    /// Names of the signed headers, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        let is_set = |name: &HeaderName| self.set.iter().any(|(set, _)| set == name);
        let own = self.headers.keys().filter(|name| (self.signs)(name) && !is_set(name) && *name != http::header::HOST);
        let set = self.set.iter().map(|(name, _)| name.as_str());
        let mut names: Vec<&str> = own.map(HeaderName::as_str).chain(set).chain(["host"]).collect();
        names.sort_unstable();
        names
    }

    fn write_values(&self, text: &mut Vec<u8>, name: &str) {
        if name == "host" {
            return text.extend_from_slice(self.authority.as_bytes());
        }
        if let Some((_, value)) = self.set.iter().find(|(set, _)| set == name) {
            return write_value(text, value.as_bytes());
        }
        for (at, value) in self.headers.get_all(name).iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            write_value(text, value.as_bytes());
        }
    }
}

/// Without space around it, and with one for many inside.
fn write_value(text: &mut Vec<u8>, value: &[u8]) {
    let mut after_space = false;
    for byte in value.trim_ascii() {
        let space = *byte == b' ';
        if !(space && after_space) {
            text.push(*byte);
        }
        after_space = space;
    }
}

fn path(path: &str, form: PathForm) -> Cow<'_, str> {
    match form {
        PathForm::Once if is_plain(path) => Cow::Borrowed(path),
        PathForm::Once => {
            let encode = |segment: &str| {
                let decoded: Cow<'_, [u8]> = percent_decode_str(segment).into();
                percent_encode(&decoded, &ENCODED).to_string()
            };
            Cow::Owned(path.split('/').map(encode).collect::<Vec<_>>().join("/"))
        }
        PathForm::Twice => {
            let normal = normalised(path);
            if is_plain(&normal) { normal } else { Cow::Owned(percent_encode(normal.as_bytes(), &PATH_ENCODED).to_string()) }
        }
    }
}

/// Whether no byte needs encoding, in whatever form.
fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte))
}

/// Without empty and dot segments (RFC 3986, section 5.2.4, and one slash for many).
fn normalised(path: &str) -> Cow<'_, str> {
    if !path.contains("//") && !path.contains("/.") {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let folder = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    let end = if folder && !kept.is_empty() { "/" } else { "" };
    Cow::Owned(format!("/{}{end}", kept.join("/")))
}

/// Every pair encoded, sorted by key, then by value.
fn write_query(text: &mut Vec<u8>, query: &str) {
    let pair = |pair| {
        let (key, value): (&str, &str) = str::split_once(pair, '=').unwrap_or((pair, ""));
        (encoded(key), encoded(value))
    };
    let mut pairs: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
    pairs.sort_unstable();
    for (at, (key, value)) in pairs.iter().enumerate() {
        if at > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(key.as_bytes());
        text.push(b'=');
        text.extend_from_slice(value.as_bytes());
    }
}

/// A key or value of a query as it is signed, whatever way it was encoded in.
fn encoded(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(percent_encode(&pairs::decode(text), &ENCODED).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_s3_are_encoded_once_and_never_normalised() {
        for (sent, signed) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a%20b", "/a%20b"),
            ("/a+b(1)", "/a%2Bb%281%29"),
            ("/%7Ea/%c3%a9", "/~a/%C3%A9"),
            ("/a//b/../c", "/a//b/../c"),
            ("/a%2Fb", "/a%2Fb"),
        ] {
            assert_eq!(path(sent, PathForm::Once), signed);
        }
    }

    #[test]
    fn paths_of_others_are_normalised_and_encoded_again() {
        for (sent, signed) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/./b/", "/a/b/"),
            ("/a/../..", "/"),
            ("/a/b/..", "/a/"),
            ("//a//b//", "/a/b/"),
            ("/.hidden", "/.hidden"),
            ("/a%20b", "/a%2520b"),
            ("/a:b", "/a%3Ab"),
        ] {
            assert_eq!(path(sent, PathForm::Twice), signed, "{sent}");
        }
    }

    #[test]
    fn a_query_is_sorted_and_encoded_one_way() {
        for (sent, signed) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1&a", "a=&a=1&a=2"),
            ("a=1=2&k", "a=1%3D2&k="),
            ("x=a+b&y=%2f%7e&", "x=a%20b&y=%2F~"),
            ("list-type=2&prefix=a/b", "list-type=2&prefix=a%2Fb"),
            ("a-=1&a=2&aa=3", "a=2&a-=1&aa=3"),
        ] {
            let mut text = Vec::new();
            write_query(&mut text, sent);
            assert_eq!(String::from_utf8(text).unwrap(), signed);
        }
    }
}
