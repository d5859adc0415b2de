//! One cookie, for services that keep a session.

use http::HeaderName;
use http::header::COOKIE;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Complaint, Existing, Inject, Payload, Rendered, Sending, rendered, slot};
use crate::material::{Material, MaterialKind, Secret};

/// Puts a token into a cookie. The whole `Cookie` header is the slot: other cookies of the application go with it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The name of the cookie, such as `session`.
    pub name: String,
    /// What happens to cookies that the application sent. Default: `overwrite`. With `require_placeholder` this cookie must hold it, once.
    #[serde(default)]
    pub existing: Existing,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct Cookie {
    name: String,
    existing: Existing,
}

impl Cookie {
    pub(super) fn compile(shape: &Shape) -> Result<Self, Complaint> {
        // A cookie has the name of a token (RFC 6265, section 4.1.1), as a header has.
        if HeaderName::from_bytes(shape.name.as_bytes()).is_err() {
            return Err((format!("`{}` is not the name of a cookie", shape.name), "use letters, digits and `-._`, as in `session`".into()));
        }
        Ok(Self { name: shape.name.clone(), existing: shape.existing })
    }
}

impl Inject for Cookie {
    fn takes(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn existing(&self) -> Existing {
        self.existing
    }

    fn owns_header(&self, name: &HeaderName) -> bool {
        slot::is_spelling_of(name, &COOKIE)
    }

    fn owns_query_key(&self, _key: &str) -> bool {
        false
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        let Material::Token(token) = material else {
            return Err("it is not a token".to_owned());
        };
        rendered::refuse_unprintable(token.expose())?;
        if token.expose().iter().any(|byte| b" \",;\\".contains(byte)) {
            return Err("it holds a character that cannot stand in a cookie".to_owned());
        }
        let value = Zeroizing::new([self.name.as_bytes(), b"=", token.expose()].concat());
        let needles = vec![Secret::new(token.expose().to_vec())];
        Ok(Rendered { headers: vec![(COOKIE, rendered::sensitive(&value)?)], needles, ..Rendered::default() })
    }

    fn occupied(&self, head: &Parts) -> bool {
        slot::occupied(&head.headers, &COOKIE)
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        let cookies = head.headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
        let mut named = cookies.filter_map(|cookie| cookie.trim_ascii().strip_prefix(self.name.as_bytes())?.strip_prefix(b"="));
        match (named.next(), named.next()) {
            (Some(value), None) => placeholder.is(value),
            _ => false,
        }
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, _: &Sending<'_>) -> Result<Payload, String> {
        slot::replace(&mut head.headers, std::iter::once(&COOKIE), rendered)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaint, head, injection, sending, token};
    use super::*;

    #[test]
    fn the_cookie_stands_alone() {
        let mut head = head("/", &[("cookie", "session=mine; theme=dark"), ("cookie", "a=b")]);
        let injection = injection("cookie: { name: session }");
        injection.act(&mut head, &injection.render(&token("T0")).unwrap(), &sending()).unwrap();
        assert_eq!(head.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["session=T0"]);
        assert!(head.headers["cookie"].is_sensitive());
    }

    #[test]
    fn the_cookie_must_hold_the_placeholder_once() {
        let injection = injection("cookie: { name: session, existing: require_placeholder }");
        let placeholder = Secret::new(b"ph".to_vec());
        let admits = |cookie: &str| injection.admit(&head("/", &[("cookie", cookie)]), Some(&placeholder)).is_ok();
        assert!(admits("session=ph") && admits("theme=dark; session=ph"));
        assert!(
            !admits("session=other") && !admits("Session=ph") && !admits("session=ph; session=ph") && !admits("xsession=ph") && !admits("")
        );
    }

    #[test]
    fn what_would_break_the_header_is_refused() {
        for bad in ["", "a;b", "a b", "a,b", "a\"b", "a\n"] {
            assert!(injection("cookie: { name: session }").render(&token(bad)).is_err(), "{bad:?}");
        }
        assert!(complaint("cookie: { name: 'a=b' }").0.contains("is not the name of a cookie"));
    }
}
