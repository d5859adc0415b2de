//! Several headers with templates, for services that want a pair.

use std::collections::BTreeMap;

use http::HeaderName;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;

use super::slot::{self, HeaderSlot};
use super::template::Variable;
use super::{Complaint, Existing, Inject, Payload, Rendered, Sending};
use crate::material::{Material, MaterialKind, Secret};

/// How many headers one injection may set.
const HEADERS_MAX: usize = 16;

/// Puts secrets, and constants that go with them, into several headers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Header to value: constants, `{token}`, or `{user}` and `{password}`. At least one holds the secret; at most 16.
    pub set: BTreeMap<String, String>,
    /// What happens to these headers where the application sent them. Default: `overwrite`. With `require_placeholder` every header
    /// whose value holds the secret must hold the placeholder.
    #[serde(default)]
    pub existing: Existing,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct Headers {
    slots: Vec<HeaderSlot>,
    takes: MaterialKind,
    existing: Existing,
}

impl Headers {
    pub(super) fn compile(shape: &Shape) -> Result<Self, Complaint> {
        let mut slots: Vec<HeaderSlot> = Vec::with_capacity(shape.set.len());
        for (name, value) in &shape.set {
            let slot = HeaderSlot::compile(name, value, shape.existing)?;
            if slots.iter().any(|other| slot::is_spelling_of(&slot.name, &other.name)) {
                return Err((format!("`set` names the header `{name}` twice"), "keep one of them".into()));
            }
            slots.push(slot);
        }
        if slots.len() > HEADERS_MAX {
            return Err((format!("`set` has {} headers", slots.len()), format!("use at most {HEADERS_MAX}")));
        }
        if !slots.iter().any(|slot| slot.template.is_secret()) {
            return Err(no_secret());
        }
        let takes = if slots.iter().any(|slot| slot.takes() == MaterialKind::UserPassword) {
            MaterialKind::UserPassword
        } else {
            MaterialKind::Token
        };
        if takes == MaterialKind::UserPassword && slots.iter().any(|slot| slot.template.uses(Variable::Token)) {
            return Err((
                "`set` mixes `{token}` with `{user}` or `{password}`".into(),
                "a credential holds a token, or a user and a password: use the variables of one".into(),
            ));
        }
        Ok(Self { slots, takes, existing: shape.existing })
    }
}

/// What is wrong with an injection that injects nothing.
pub(super) fn no_secret() -> Complaint {
    ("no secret stands in the value of any header".to_owned(), "use `{token}` or `{password}` in it".to_owned())
}

/// The secret itself: every header holds it in the clear.
pub(super) fn needles(material: &Material) -> Result<Vec<Secret>, String> {
    let secret = match material {
        Material::Token(token) => token,
        Material::UserPassword { password, .. } => password,
        Material::AwsKeys { .. } | Material::Certificate { .. } | Material::PrivateKey(_) | Material::BoundToken { .. } => {
            return Err("it signs, and does not stand in a header".to_owned());
        }
    };
    if secret.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(vec![Secret::new(secret.expose().to_vec())])
}

impl Inject for Headers {
    fn takes(&self) -> MaterialKind {
        self.takes
    }

    fn existing(&self) -> Existing {
        self.existing
    }

    fn owns_header(&self, name: &HeaderName) -> bool {
        self.slots.iter().any(|slot| slot::is_spelling_of(name, &slot.name))
    }

    fn owns_query_key(&self, _key: &str) -> bool {
        false
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        let headers = self.slots.iter().map(|slot| slot.render(material)).collect::<Result<_, _>>()?;
        Ok(Rendered { headers, needles: needles(material)?, ..Rendered::default() })
    }

    fn occupied(&self, head: &Parts) -> bool {
        self.slots.iter().any(|slot| slot::occupied(&head.headers, &slot.name))
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        self.slots.iter().all(|slot| slot.holds(&head.headers, placeholder))
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, _: &Sending<'_>) -> Result<Payload, String> {
        slot::replace(&mut head.headers, self.slots.iter().map(|slot| &slot.name), rendered)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaint, head, injection, sending, token, user_password};
    use super::*;

    #[test]
    fn every_header_is_set() {
        let injection =
            injection("headers: { set: { cf-access-client-id: '{user}', cf-access-client-secret: '{password}', x-org: acme } }");
        let mut head = head("/", &[("x-org", "mine"), ("x-org", "mine"), ("cf_access_client_id", "mine")]);
        injection.act(&mut head, &injection.render(&user_password("id", "pw")).unwrap(), &sending()).unwrap();
        assert_eq!(head.headers.len(), 3);
        assert_eq!(
            (&head.headers["cf-access-client-id"], &head.headers["cf-access-client-secret"], &head.headers["x-org"]),
            (&"id".parse().unwrap(), &"pw".parse().unwrap(), &"acme".parse().unwrap())
        );
    }

    #[test]
    fn every_secret_header_must_hold_the_placeholder() {
        let injection =
            injection("headers: { existing: require_placeholder, set: { x-id: '{user}', x-a: '{password}', x-b: 'b {password}' } }");
        let placeholder = Secret::new(b"ph".to_vec());
        assert!(injection.admit(&head("/", &[("x-a", "ph"), ("x-b", "b ph")]), Some(&placeholder)).is_ok());
        assert!(injection.admit(&head("/", &[("x-a", "ph"), ("x-b", "ph")]), Some(&placeholder)).is_err());
        assert!(injection.admit(&head("/", &[("x-a", "ph")]), Some(&placeholder)).is_err());
    }

    #[test]
    fn one_occupied_header_is_enough_to_refuse() {
        let injection = injection("headers: { existing: if_absent, set: { x-a: '{token}', x-b: b } }");
        assert!(injection.admit(&head("/", &[("x-b", "mine")]), None).is_err());
        assert!(injection.admit(&head("/", &[("x-c", "mine")]), None).is_ok());
    }

    #[test]
    fn shapes_that_cannot_be_meant_are_refused() {
        assert!(complaint("headers: { set: {} }").0.contains("no secret"));
        assert!(complaint("headers: { set: { x: y } }").0.contains("no secret"));
        assert!(complaint("headers: { set: { X-A: '{token}', x_a: '{token}' } }").0.contains("twice"));
        assert!(complaint("headers: { set: { x-a: '{token}', x-b: '{user}' } }").0.contains("mixes"));
        let many = (0..17).map(|n| format!("x-{n}: '{{token}}'")).collect::<Vec<_>>().join(", ");
        assert!(complaint(&format!("headers: {{ set: {{ {many} }} }}")).0.contains("17"));
    }

    #[test]
    fn material_of_another_kind_is_refused() {
        assert!(injection("headers: { set: { x-a: '{password}' } }").render(&token("t")).is_err());
        assert!(injection("headers: { set: { x-a: 'a{password}' } }").render(&user_password("u", "")).is_err());
    }
}
