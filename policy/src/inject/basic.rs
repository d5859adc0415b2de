//! `Authorization: Basic …`, RFC 7617.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use http::HeaderName;
use http::header::AUTHORIZATION;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::bearer::after_scheme;
use super::{Existing, Inject, Payload, Rendered, Sending, rendered, slot};
use crate::material::{Material, MaterialKind, Secret};

/// Puts a user and a password into `Authorization` as `Basic …`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// What happens to an `Authorization` header that the application sent. Default: `overwrite`. With `require_placeholder` the
    /// password must be the placeholder; the user may be any.
    #[serde(default)]
    pub existing: Existing,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct Basic {
    existing: Existing,
}

/// Reads what clients send: some leave the padding away.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

impl Basic {
    pub(super) fn compile(shape: &Shape) -> Self {
        Self { existing: shape.existing }
    }
}

impl Inject for Basic {
    fn takes(&self) -> MaterialKind {
        MaterialKind::UserPassword
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
        let Material::UserPassword { user, password } = material else {
            return Err("it is not a user and a password".to_owned());
        };
        if user.contains(':') || user.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("its user name holds a colon or a control byte".to_owned());
        }
        rendered::refuse_control(password.expose())?;
        let pair = Zeroizing::new([user.as_bytes(), b":", password.expose()].concat());
        let encoded = Zeroizing::new(STANDARD.encode(&*pair));
        let value = Zeroizing::new(["Basic ", encoded.as_str()].concat());
        Ok(Rendered {
            headers: vec![(AUTHORIZATION, rendered::sensitive(value.as_bytes())?)],
            needles: vec![Secret::new(password.expose().to_vec()), Secret::new(encoded.as_bytes().to_vec())],
            ..Rendered::default()
        })
    }

    fn occupied(&self, head: &Parts) -> bool {
        slot::occupied(&head.headers, &AUTHORIZATION)
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        slot::only(&head.headers, &AUTHORIZATION)
            .and_then(|value| after_scheme(value.as_bytes(), b"basic"))
            .and_then(|encoded| LENIENT.decode(encoded).ok())
            .is_some_and(|pair| {
                pair.iter()
                    .position(|byte| *byte == b':')
                    .and_then(|at| pair.get(at + 1..))
                    .is_some_and(|password| placeholder.is(password))
            })
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, _: &Sending<'_>) -> Result<Payload, String> {
        slot::replace(&mut head.headers, std::iter::once(&AUTHORIZATION), rendered)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SlotRefusal;
    use super::super::tests::{head, injection, sending, user_password};
    use super::*;

    #[test]
    fn the_pair_goes_into_authorization() {
        let mut head = head("/", &[("authorization", "Bearer mine")]);
        let injection = injection("basic");
        let rendered = injection.render(&user_password("Aladdin", "open sesame")).unwrap();
        injection.act(&mut head, &rendered, &sending()).unwrap();
        // The example of RFC 7617 § 2.
        assert_eq!(head.headers["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(head.headers["authorization"].is_sensitive());
        assert!(rendered.needles()[0].is(b"open sesame") && rendered.needles()[1].is(b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    }

    #[test]
    fn the_password_must_be_the_placeholder() {
        let (injection, placeholder) = (injection("basic: { existing: require_placeholder }"), Secret::new(b"ph:1".to_vec()));
        let sent = |pair: &str| head("/", &[("authorization", &format!("basic {}", STANDARD.encode(pair)))]);
        assert_eq!(injection.admit(&sent("anybody:ph:1"), Some(&placeholder)), Ok(()));
        assert_eq!(injection.admit(&head("/", &[("authorization", "Basic OnBoOjE")]), Some(&placeholder)), Ok(()));
        for bad in ["ph:1", "anybody:ph", "anybody:ph:12", "ph", ""] {
            assert_eq!(injection.admit(&sent(bad), Some(&placeholder)), Err(SlotRefusal::NotThePlaceholder), "{bad}");
        }
        assert!(injection.admit(&head("/", &[("authorization", "Basic %%%")]), Some(&placeholder)).is_err());
    }

    #[test]
    fn a_user_that_would_split_the_pair_is_refused() {
        let injection = injection("basic");
        assert!(injection.render(&user_password("a:b", "p")).is_err());
        assert!(injection.render(&user_password("a\n", "p")).is_err());
        assert!(injection.render(&user_password("a", "")).is_err());
        assert!(injection.render(&user_password("a", "p\n")).is_err());
        assert!(injection.render(&user_password("", "pässword")).is_ok());
    }
}
