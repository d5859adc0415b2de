//! One key of the query, for services that take their key there.

use http::HeaderName;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Complaint, Existing, Inject, Payload, Rendered, Sending, pairs, rendered};
use crate::material::{Material, MaterialKind, Secret};

/// All but the unreserved characters of RFC 3986 are encoded.
pub(super) const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Puts a token into one key of the query. URLs end up in the logs of upstreams: prefer a header where the service takes one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The key, such as `key` or `api_key`: letters, digits and `-._~$`. What the application sends under it, in whatever case or encoding, is removed.
    pub key: String,
    /// What happens to this key where the application sent it. Default: `overwrite`.
    #[serde(default)]
    pub existing: Existing,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct Query {
    key: String,
    existing: Existing,
}

impl Query {
    pub(super) fn compile(shape: &Shape) -> Result<Self, Complaint> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~$".contains(&byte);
        if shape.key.is_empty() || !shape.key.bytes().all(allowed) {
            return Err((
                format!("`{}` is not a key of a query that can be injected", shape.key),
                "use letters, digits and `-._~$`".into(),
            ));
        }
        Ok(Self { key: shape.key.clone(), existing: shape.existing })
    }
}

impl Inject for Query {
    fn takes(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn existing(&self) -> Existing {
        self.existing
    }

    fn owns_header(&self, _name: &HeaderName) -> bool {
        false
    }

    fn owns_query_key(&self, key: &str) -> bool {
        pairs::is_spelling_of(key, &self.key)
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        let Material::Token(token) = material else {
            return Err("it is not a token".to_owned());
        };
        rendered::refuse_control(token.expose())?;
        // Three bytes for one at most: with the room taken beforehand, growing leaves no copy behind.
        let mut encoded = Zeroizing::new(String::with_capacity(token.len() * 3));
        encoded.extend(percent_encode(token.expose(), &ENCODED));
        let mut needles = vec![Secret::new(token.expose().to_vec())];
        if !token.is(encoded.as_bytes()) {
            needles.push(Secret::new(encoded.as_bytes().to_vec()));
        }
        let query = Some((self.key.clone(), Secret::new(encoded.as_bytes().to_vec())));
        Ok(Rendered { query, needles, ..Rendered::default() })
    }

    fn occupied(&self, head: &Parts) -> bool {
        head.uri.query().is_some_and(|query| pairs::pairs(query).any(|pair| self.owns_query_key(pair.key)))
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        let mut found = pairs::pairs(head.uri.query().unwrap_or_default()).filter(|pair| self.owns_query_key(pair.key));
        match (found.next(), found.next()) {
            (Some(pair), None) => placeholder.is(&pairs::decode(pair.value)),
            _ => false,
        }
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, _: &Sending<'_>) -> Result<Payload, String> {
        let Some((key, value)) = rendered.query.as_ref().filter(|(key, _)| *key == self.key) else {
            return Err("the credential was rendered for another injection".to_owned());
        };
        if head.uri.path_and_query().is_none() || head.uri.path() == "*" {
            return Err("the request's target has no query".to_owned());
        }
        let value = std::str::from_utf8(value.expose()).map_err(|_| "the credential was not encoded".to_owned())?;
        let old = head.uri.query().unwrap_or_default();
        let kept = pairs::without(old, |pair| self.owns_query_key(pair.key));
        let kept = kept.as_deref().unwrap_or(old);
        let mut query = Zeroizing::new(String::with_capacity(kept.len() + key.len() + value.len() + 2));
        query.push_str(kept);
        if !kept.is_empty() && !kept.ends_with('&') {
            query.push('&');
        }
        query.extend([key, "=", value]);
        head.uri = pairs::with_query(&head.uri, &query)?;
        Ok(Payload::AsItCame)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaint, head, injection, sending, token};
    use super::*;

    fn sent(uri: &str) -> String {
        let injection = injection("query: { key: key }");
        let mut head = head(uri, &[]);
        injection.act(&mut head, &injection.render(&token("a b+/é=")).unwrap(), &sending()).unwrap();
        head.uri.to_string()
    }

    #[test]
    fn the_token_goes_into_its_key_alone() {
        assert_eq!(sent("/p"), "/p?key=a%20b%2B%2F%C3%A9%3D");
        assert_eq!(sent("/p?a=1"), "/p?a=1&key=a%20b%2B%2F%C3%A9%3D");
        assert_eq!(sent("https://h:8/p%20?key=mine&%6bEy=mine&a;key=x"), "https://h:8/p%20?a&key=a%20b%2B%2F%C3%A9%3D");
    }

    #[test]
    fn a_target_without_a_query_is_refused_and_left_alone() {
        let injection = injection("query: { key: key }");
        let rendered = injection.render(&token("t")).unwrap();
        for uri in ["*", "h.test:443"] {
            let mut head = head(uri, &[]);
            assert!(injection.act(&mut head, &rendered, &sending()).is_err());
            assert_eq!(head.uri, uri);
        }
        let long = format!("/?a={}", "x".repeat(65_500));
        let mut head = head(&long, &[]);
        assert!(injection.act(&mut head, &injection.render(&token(&"y".repeat(100))).unwrap(), &sending()).is_err());
        assert_eq!(head.uri, long.as_str());
    }

    #[test]
    fn the_key_must_hold_the_placeholder_once() {
        let injection = injection("query: { key: key, existing: require_placeholder }");
        let placeholder = Secret::new(b"p/h".to_vec());
        for good in ["/?key=p/h", "/?key=p%2fh&a=b", "/?a&%6bey=%70%2Fh"] {
            assert!(injection.admit(&head(good, &[]), Some(&placeholder)).is_ok(), "{good}");
        }
        for bad in ["/", "/?key=", "/?key=p", "/?key=p/h&key=p/h", "/?key=p/h;KEY=x", "/?a=p/h"] {
            assert!(injection.admit(&head(bad, &[]), Some(&placeholder)).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_occupied_key_is_refused_where_it_must_be_empty() {
        let injection = injection("query: { key: key, existing: if_absent }");
        assert!(injection.admit(&head("/?%4bey", &[]), None).is_err());
        assert!(injection.admit(&head("/?a=key", &[]), None).is_ok());
    }

    #[test]
    fn needles_are_the_token_and_what_went_out() {
        let rendered = injection("query: { key: key }").render(&token("a b")).unwrap();
        assert!(rendered.needles()[0].is(b"a b") && rendered.needles()[1].is(b"a%20b"));
        assert_eq!(injection("query: { key: key }").render(&token("ab")).unwrap().needles().len(), 1);
    }

    #[test]
    fn keys_that_need_encoding_are_refused() {
        for key in ["", "a b", "a=b", "a&b", "k[]", "é"] {
            assert!(complaint(&format!("query: {{ key: '{key}' }}")).0.contains("is not a key"), "{key}");
        }
    }
}
