//! One segment of the path, for services that take their key there.

use http::HeaderName;
use http::request::Parts;
use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, percent_decode_str, percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::query::ENCODED;
use super::template::{Template, Variable};
use super::{Complaint, Existing, Inject, Payload, Rendered, Sending, rendered};
use crate::material::{Material, MaterialKind, Secret};

const KIND: &str = "path_segment";

/// What a segment may hold as it is, but for what some upstreams split at.
const SEGMENT_ENCODED: AsciiSet = ENCODED
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=');

/// Puts a token into one segment of the path, as in `/bot123:ABC/sendMessage`. Rules match the path as the application sends it, with
/// a stand-in there. URLs end up in the logs of upstreams: prefer a header where the service takes one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Which segment, counted from 1: in `/v1/KEY/things` it is 2.
    pub at: u8,
    /// What the segment is, with `{token}`. Default: `{token}`.
    #[serde(default = "token_alone")]
    pub value: String,
    /// What happens to what the application sent there: `overwrite` (default) or `require_placeholder`. A path with fewer segments is refused.
    #[serde(default)]
    pub existing: Existing,
}

fn token_alone() -> String {
    "{token}".to_owned()
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct PathSegment {
    /// From 1: before the first slash there is nothing.
    at: usize,
    template: Template,
    existing: Existing,
}

impl PathSegment {
    pub(super) fn compile(shape: &Shape) -> Result<Self, Complaint> {
        if shape.at == 0 {
            return Err(("`at` is 0, but segments are counted from 1".into(), "in `/v1/KEY/things` the key is at 2".into()));
        }
        if shape.existing == Existing::IfAbsent {
            return Err((
                "`if_absent` cannot be kept: a segment of a path is never empty".into(),
                "use `overwrite` or `require_placeholder`".into(),
            ));
        }
        let template = Template::parse(&shape.value)?;
        if !template.uses(Variable::Token) || template.uses(Variable::User) || template.uses(Variable::Password) {
            return Err((
                format!("the value `{}` holds something other than `{{token}}`", shape.value),
                "write it as in `bot{token}`".into(),
            ));
        }
        Ok(Self { at: shape.at.into(), template, existing: shape.existing })
    }
}

impl Inject for PathSegment {
    fn takes(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn existing(&self) -> Existing {
        self.existing
    }

    fn owns_header(&self, _name: &HeaderName) -> bool {
        false
    }

    fn owns_query_key(&self, _key: &str) -> bool {
        false
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        let Material::Token(token) = material else {
            return Err("it is not a token".to_owned());
        };
        let segment = self.template.render(material)?;
        if matches!(&segment[..], b"." | b"..") {
            return Err("it is a dot segment".to_owned());
        }
        // Three bytes for one at most: with the room taken beforehand, growing leaves no copy behind.
        let encode = |bytes: &[u8]| {
            let mut encoded = Zeroizing::new(String::with_capacity(bytes.len() * 3));
            encoded.extend(percent_encode(bytes, &SEGMENT_ENCODED));
            Secret::new(encoded.as_bytes().to_vec())
        };
        let mut needles = vec![Secret::new(token.expose().to_vec())];
        let encoded = encode(token.expose());
        if !token.is(encoded.expose()) {
            needles.push(encoded);
        }
        rendered::refuse_control(&segment)?;
        Ok(Rendered { text: Some((KIND, encode(&segment))), needles, ..Rendered::default() })
    }

    fn occupied(&self, _head: &Parts) -> bool {
        true
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        let segment = head.uri.path().split('/').nth(self.at);
        segment.is_some_and(|segment| {
            let decoded: Vec<u8> = percent_decode_str(segment).collect();
            self.template.is_placeholder(&decoded, placeholder)
        })
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, _: &Sending<'_>) -> Result<Payload, String> {
        let ours = rendered.text_of(KIND)?;
        let path = head.uri.path();
        if path.split('/').nth(self.at).is_none_or(str::is_empty) {
            return Err(format!("the path has no segment {} to put the credential into", self.at));
        }
        let mut whole = Zeroizing::new(String::with_capacity(path.len() + ours.len() + head.uri.query().map_or(0, str::len) + 2));
        for (at, segment) in path.split('/').enumerate() {
            if at > 0 {
                whole.push('/');
            }
            whole.push_str(if at == self.at { ours } else { segment });
        }
        if let Some(query) = head.uri.query() {
            whole.push('?');
            whole.push_str(query);
        }
        let mut parts = head.uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(whole.as_str()).map_err(|_| "the path would be too long".to_owned())?);
        head.uri = http::Uri::from_parts(parts).map_err(|_| "the URI cannot carry the path".to_owned())?;
        Ok(Payload::AsItCame)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaint, head, injection, sending, token};
    use super::*;

    fn acted(yaml: &str, uri: &str, secret: &str) -> Result<String, String> {
        let (injection, mut head) = (injection(yaml), head(uri, &[]));
        injection.act(&mut head, &injection.render(&token(secret)).unwrap(), &sending()).map(|_| head.uri.to_string())
    }

    #[test]
    fn the_segment_is_replaced_and_nothing_else() {
        let bot = "path_segment: { at: 1, value: 'bot{token}' }";
        assert_eq!(acted(bot, "/botmine/sendMessage?chat=%31", "123:AB").unwrap(), "/bot123:AB/sendMessage?chat=%31");
        assert_eq!(acted("path_segment: { at: 2 }", "https://h.test/v1/x", "a/b c").unwrap(), "https://h.test/v1/a%2Fb%20c");
        assert_eq!(acted("path_segment: { at: 2 }", "/v1/x/", "k").unwrap(), "/v1/k/");
    }

    #[test]
    fn a_path_without_the_segment_is_refused() {
        for uri in ["/v1", "/v1/", "/"] {
            assert!(acted("path_segment: { at: 2 }", uri, "k").is_err(), "{uri}");
        }
    }

    #[test]
    fn the_segment_must_be_the_placeholder() {
        let injection = injection("path_segment: { at: 1, value: 'bot{token}', existing: require_placeholder }");
        let placeholder = Secret::new(b"1:p".to_vec());
        let admits = |uri: &str| injection.admit(&head(uri, &[]), Some(&placeholder)).is_ok();
        assert!(admits("/bot1:p/x") && admits("/bot1%3Ap/x"));
        assert!(!admits("/bot1:q/x") && !admits("/1:p/x") && !admits("/x/bot1:p") && !admits("/"));
    }

    #[test]
    fn what_cannot_be_a_segment_is_refused() {
        assert!(injection("path_segment: { at: 1 }").render(&token("..")).is_err());
        for (yaml, what) in [
            ("path_segment: { at: 0 }", "counted from 1"),
            ("path_segment: { at: 1, existing: if_absent }", "cannot be kept"),
            ("path_segment: { at: 1, value: bot }", "other than"),
            ("path_segment: { at: 1, value: '{user}{token}' }", "other than"),
        ] {
            assert!(complaint(yaml).0.contains(what), "{yaml}");
        }
    }

    #[test]
    fn needles_are_the_token_and_what_went_out() {
        let rendered = injection("path_segment: { at: 1 }").render(&token("a/b")).unwrap();
        assert!(rendered.needles()[0].is(b"a/b") && rendered.needles()[1].is(b"a%2Fb"));
    }
}
