//! `Authorization: Bearer TOKEN`, RFC 6750.

use http::HeaderName;
use http::header::AUTHORIZATION;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Existing, Inject, Payload, Rendered, Sending, rendered, slot};
use crate::material::{Material, MaterialKind, Secret};

/// Puts a token into `Authorization` as `Bearer TOKEN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// What happens to an `Authorization` header that the application sent. Default: `overwrite`.
    #[serde(default)]
    pub existing: Existing,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct Bearer {
    existing: Existing,
}

impl Bearer {
    pub(super) fn compile(shape: &Shape) -> Self {
        Self { existing: shape.existing }
    }
}

impl Inject for Bearer {
    fn takes(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn existing(&self) -> Existing {
        self.existing
    }

    fn owns_header(&self, name: &HeaderName) -> bool {
        slot::is_spelling_of(name, &AUTHORIZATION)
    }

    fn owns_query_key(&self, _key: &str) -> bool {
        false
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        let Material::Token(token) = material else {
            return Err("it is not a token".to_owned());
        };
        rendered::refuse_unprintable(token.expose())?;
        if token.expose().contains(&b' ') {
            return Err("it holds a space, which no bearer token does".to_owned());
        }
        let value = Zeroizing::new([b"Bearer ", token.expose()].concat());
        Ok(Rendered {
            headers: vec![(AUTHORIZATION, rendered::sensitive(&value)?)],
            needles: vec![Secret::new(token.expose().to_vec())],
            ..Rendered::default()
        })
    }

    fn occupied(&self, head: &Parts) -> bool {
        slot::occupied(&head.headers, &AUTHORIZATION)
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        slot::only(&head.headers, &AUTHORIZATION)
            .and_then(|value| after_scheme(value.as_bytes(), b"bearer"))
            .is_some_and(|token| placeholder.is(token))
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, _: &Sending<'_>) -> Result<Payload, String> {
        slot::replace(&mut head.headers, std::iter::once(&AUTHORIZATION), rendered)
    }
}

/// What follows `SCHEME 1*SP`; the scheme in any case (RFC 9110 § 11.1).
pub(super) fn after_scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (found, rest) = value.split_at_checked(scheme.len())?;
    if !found.eq_ignore_ascii_case(scheme) {
        return None;
    }
    let token = rest.trim_ascii_start();
    (token.len() < rest.len()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{head, injection, sending, token};
    use super::super::{Injection, SlotRefusal};
    use super::*;

    fn bearer(existing: &str) -> Injection {
        injection(&format!("bearer: {{ existing: {existing} }}"))
    }

    #[test]
    fn the_token_goes_into_authorization() {
        let mut head = head("/", &[("authorization", "Basic mine"), ("authorization", "Bearer mine"), ("x", "y")]);
        let injection = bearer("overwrite");
        injection.act(&mut head, &injection.render(&token("T0")).unwrap(), &sending()).unwrap();
        assert_eq!(head.headers.get_all("authorization").iter().collect::<Vec<_>>(), ["Bearer T0"]);
        assert!(head.headers["authorization"].is_sensitive());
        assert_eq!(head.headers["x"], "y");
    }

    #[test]
    fn only_the_placeholder_is_exchanged() {
        let (injection, placeholder) = (bearer("require_placeholder"), Secret::new(b"ph".to_vec()));
        for good in ["Bearer ph", "bearer ph", "BEARER  ph"] {
            assert_eq!(injection.admit(&head("/", &[("authorization", good)]), Some(&placeholder)), Ok(()), "{good}");
        }
        for bad in ["Bearer other", "Bearer ph x", "Bearerph", "ph", "Basic ph", "Bearer", "Bearer "] {
            assert_eq!(
                injection.admit(&head("/", &[("authorization", bad)]), Some(&placeholder)),
                Err(SlotRefusal::NotThePlaceholder),
                "{bad}"
            );
        }
        let twice = head("/", &[("authorization", "Bearer ph"), ("authorization", "Bearer ph")]);
        assert!(injection.admit(&twice, Some(&placeholder)).is_err());
        assert!(injection.admit(&head("/", &[]), Some(&placeholder)).is_err());
        assert!(injection.admit(&head("/", &[("authorization", "Bearer ph")]), None).is_err());
        assert!(injection.admit(&head("/", &[("authorization", "Bearer ")]), Some(&Secret::new(Vec::new()))).is_err());
    }

    #[test]
    fn a_value_of_the_callers_own_is_refused_where_the_slot_must_be_empty() {
        let injection = bearer("if_absent");
        assert_eq!(injection.admit(&head("/", &[("authorization", "Bearer mine")]), None), Err(SlotRefusal::Occupied));
        assert_eq!(injection.admit(&head("/", &[]), None), Ok(()));
    }

    #[test]
    fn a_token_that_would_break_the_header_is_refused() {
        for bad in ["", "a\n", "a b", "a\0", "é"] {
            assert!(bearer("overwrite").render(&token(bad)).is_err(), "{bad:?}");
        }
    }
}
