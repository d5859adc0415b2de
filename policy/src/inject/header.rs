//! One header with a template.

use http::HeaderName;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;

use super::slot::HeaderSlot;
use super::{Complaint, Existing, Inject, Payload, Rendered, Sending, headers, slot};
use crate::material::{Material, MaterialKind, Secret};

/// Puts a secret into one header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The header, such as `x-api-key`. Headers that frame the message (`host`, `content-length`, `connection`, `proxy-…`) are refused.
    pub name: String,
    /// Its value, with `{token}`, or `{user}` and `{password}`. Default: `{token}`.
    #[serde(default = "token_alone")]
    pub value: String,
    /// What happens to this header where the application sent it. Default: `overwrite`.
    #[serde(default)]
    pub existing: Existing,
}

fn token_alone() -> String {
    "{token}".to_owned()
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct Header {
    slot: HeaderSlot,
    existing: Existing,
}

impl Header {
    pub(super) fn compile(shape: &Shape) -> Result<Self, Complaint> {
        let slot = HeaderSlot::compile(&shape.name, &shape.value, shape.existing)?;
        if !slot.template.is_secret() {
            return Err(headers::no_secret());
        }
        Ok(Self { slot, existing: shape.existing })
    }
}

impl Inject for Header {
    fn takes(&self) -> MaterialKind {
        self.slot.takes()
    }

    fn existing(&self) -> Existing {
        self.existing
    }

    fn owns_header(&self, name: &HeaderName) -> bool {
        slot::is_spelling_of(name, &self.slot.name)
    }

    fn owns_query_key(&self, _key: &str) -> bool {
        false
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        Ok(Rendered { headers: vec![self.slot.render(material)?], needles: headers::needles(material)?, ..Rendered::default() })
    }

    fn occupied(&self, head: &Parts) -> bool {
        slot::occupied(&head.headers, &self.slot.name)
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        self.slot.holds(&head.headers, placeholder)
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, _: &Sending<'_>) -> Result<Payload, String> {
        slot::replace(&mut head.headers, std::iter::once(&self.slot.name), rendered)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaint, head, injection, sending, token, user_password};
    use super::*;

    #[test]
    fn the_secret_stands_in_its_template() {
        let injection = injection("header: { name: Authorization, value: 'token {token}' }");
        let mut head = head("/", &[("authorization", "Bearer mine"), ("Authorization", "again")]);
        injection.act(&mut head, &injection.render(&token("T0")).unwrap(), &sending()).unwrap();
        assert_eq!(head.headers.get_all("authorization").iter().collect::<Vec<_>>(), ["token T0"]);
        assert!(head.headers["authorization"].is_sensitive());
    }

    #[test]
    fn an_upstream_that_reads_underscores_as_hyphens_sees_ours_alone() {
        let injection = injection("header: { name: x-api-key }");
        let mut head = head("/", &[("x_api_key", "mine"), ("x-api_key", "mine"), ("X-API-Key", "mine")]);
        injection.act(&mut head, &injection.render(&token("T0")).unwrap(), &sending()).unwrap();
        assert_eq!(head.headers.len(), 1);
        assert_eq!(head.headers["x-api-key"], "T0");
    }

    #[test]
    fn a_user_and_a_password_may_stand_in_one_value() {
        let injection = injection("header: { name: x-login, value: '{user}/{password}' }");
        assert_eq!(injection.takes(), MaterialKind::UserPassword);
        assert_eq!(injection.render(&user_password("u", "p")).unwrap().headers[0].1, "u/p");
        assert!(injection.render(&token("t")).is_err());
    }

    #[test]
    fn shapes_that_cannot_be_meant_are_refused() {
        assert!(complaint("header: { name: host }").0.contains("`host`"));
        assert!(complaint("header: { name: x, value: static }").0.contains("no secret"));
        assert!(complaint("header: { name: x, value: '{tokn}' }").0.contains("`{tokn}`"));
    }

    #[test]
    fn the_template_must_hold_the_placeholder() {
        let injection = injection("header: { name: x-key, value: 'k={token}', existing: require_placeholder }");
        let placeholder = Secret::new(b"ph".to_vec());
        assert!(injection.admit(&head("/", &[("x-key", "k=ph")]), Some(&placeholder)).is_ok());
        assert!(injection.admit(&head("/", &[("x-key", "k=pi")]), Some(&placeholder)).is_err());
        assert!(injection.admit(&head("/", &[("x-key", "k=ph"), ("x_key", "k=ph")]), Some(&placeholder)).is_err());
    }
}
