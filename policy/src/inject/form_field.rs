//! One field of a form in the body, for services that take their key there.

use http::HeaderName;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use percent_encoding::percent_encode;
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::query::ENCODED;
use super::size::Size;
use super::{Complaint, Existing, Inject, Payload, Rendered, Sending, SlotRefusal, pairs, rendered};
use crate::material::{Material, MaterialKind, Secret};

const KIND: &str = "form_field";

/// Puts a token into one field of an `application/x-www-form-urlencoded` body, which is read for that. All other bytes stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The name of the field, such as `api_key`: letters, digits and `-._~$`.
    pub key: String,
    /// The largest body that is read. Default `1MiB`, at most `16MiB`.
    #[serde(default)]
    pub body_max: Size,
    /// What happens to this field where the application sent it. Default: `overwrite`.
    #[serde(default)]
    pub existing: Existing,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct FormField {
    key: String,
    body_bytes_max: usize,
    existing: Existing,
}

impl FormField {
    pub(super) fn compile(shape: &Shape) -> Result<Self, Complaint> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~$".contains(&byte);
        if shape.key.is_empty() || !shape.key.bytes().all(allowed) {
            return Err((
                format!("`{}` is not the name of a field that can be injected", shape.key),
                "use letters, digits and `-._~$`".into(),
            ));
        }
        Ok(Self { key: shape.key.clone(), body_bytes_max: shape.body_max.0, existing: shape.existing })
    }

    fn is_ours(&self, pair: pairs::Pair<'_>) -> bool {
        pairs::is_spelling_of(pair.key, &self.key)
    }
}

/// Whether the body is of this type, in no coding.
pub(super) fn is_plain(head: &Parts, of_type: impl Fn(&str) -> bool) -> bool {
    let essence = |value: &http::HeaderValue| {
        value.to_str().ok().and_then(|text| text.split(';').next()).map(|text| text.trim().to_ascii_lowercase())
    };
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let one = types.next().and_then(essence).is_some_and(|essence| of_type(&essence)) && types.next().is_none();
    one && head.headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding == "identity")
}

fn form<'b>(head: &Parts, body: Option<&'b [u8]>) -> Result<&'b str, &'static str> {
    if !is_plain(head, |essence| essence == "application/x-www-form-urlencoded") {
        return Err("the body is not said to be `application/x-www-form-urlencoded`");
    }
    std::str::from_utf8(body.ok_or("the body must be read first")?).map_err(|_| "the body is no form")
}

impl Inject for FormField {
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
        rendered::refuse_control(token.expose())?;
        let mut encoded = Zeroizing::new(String::with_capacity(token.len() * 3));
        encoded.extend(percent_encode(token.expose(), &ENCODED));
        let mut needles = vec![Secret::new(token.expose().to_vec())];
        if !token.is(encoded.as_bytes()) {
            needles.push(Secret::new(encoded.as_bytes().to_vec()));
        }
        Ok(Rendered { text: Some((KIND, Secret::new(encoded.as_bytes().to_vec()))), needles, ..Rendered::default() })
    }

    /// The body is not here yet: see `admit_body`.
    fn occupied(&self, _head: &Parts) -> bool {
        false
    }

    /// The body is not here yet: see `admit_body`.
    fn holds(&self, _head: &Parts, _placeholder: &Secret) -> bool {
        true
    }

    fn body_bytes_max(&self, _head: &Parts, _authority: &str) -> Option<usize> {
        Some(self.body_bytes_max)
    }

    fn admit_body(&self, head: &Parts, body: &[u8], placeholder: Option<&Secret>) -> Result<(), SlotRefusal> {
        let form = form(head, Some(body)).map_err(SlotRefusal::Unreadable)?;
        let mut found = pairs::pairs(form).filter(|pair| self.is_ours(*pair));
        let (first, second) = (found.next(), found.next());
        match self.existing {
            Existing::Overwrite => Ok(()),
            Existing::IfAbsent => first.map_or(Ok(()), |_| Err(SlotRefusal::Occupied)),
            Existing::RequirePlaceholder => match (first, second, placeholder) {
                (Some(pair), None, Some(placeholder)) if placeholder.is(&pairs::decode(pair.value)) => Ok(()),
                _ => Err(SlotRefusal::NotThePlaceholder),
            },
        }
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, sending: &Sending<'_>) -> Result<Payload, String> {
        let ours = rendered.text_of(KIND)?;
        let old = form(head, sending.body)?;
        let kept = pairs::without(old, |pair| self.is_ours(pair));
        let kept = kept.as_deref().unwrap_or(old);
        let mut form = Zeroizing::new(Vec::with_capacity(kept.len() + self.key.len() + ours.len() + 2));
        form.extend_from_slice(kept.as_bytes());
        if !kept.is_empty() && !kept.ends_with('&') {
            form.push(b'&');
        }
        for part in [self.key.as_bytes(), b"=", ours.as_bytes()] {
            form.extend_from_slice(part);
        }
        Ok(Payload::Replaced(form))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaint, head, injection, sending, token};
    use super::*;

    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

    fn acted(body: &str) -> String {
        let (injection, mut head) = (injection("form_field: { key: api_key }"), head("/", &[FORM]));
        let rendered = injection.render(&token("a b&c")).unwrap();
        let sending = Sending { body: Some(body.as_bytes()), ..sending() };
        let Payload::Replaced(form) = injection.act(&mut head, &rendered, &sending).unwrap() else { panic!() };
        String::from_utf8(form.to_vec()).unwrap()
    }

    #[test]
    fn the_field_is_replaced_and_nothing_else() {
        assert_eq!(acted("a=%41&api_key=mine&b=+"), "a=%41&b=+&api_key=a%20b%26c");
        assert_eq!(acted("%61pi_key=1;API_KEY=2&api_key[]=3"), "api_key=a%20b%26c");
        assert_eq!(acted(""), "api_key=a%20b%26c");
    }

    #[test]
    fn what_is_no_form_is_refused_and_left_alone() {
        let injection = injection("form_field: { key: api_key }");
        let rendered = injection.render(&token("t")).unwrap();
        for headers in [&[][..], &[("content-type", "application/json")], &[FORM, ("content-encoding", "gzip")], &[FORM, FORM]] {
            let mut head = head("/", headers);
            assert!(injection.act(&mut head, &rendered, &sending()).is_err(), "{headers:?}");
        }
        let unread = Sending { body: None, ..sending() };
        assert!(injection.act(&mut head("/", &[FORM]), &rendered, &unread).is_err());
        assert!(complaint("form_field: { key: 'a b' }").0.contains("is not the name of a field"));
    }

    #[test]
    fn the_field_must_hold_the_placeholder_once() {
        let placeholder = Secret::new(b"ph".to_vec());
        let admits = |existing: &str, body: &str, placeholder: Option<&Secret>| {
            let injection = injection(&format!("form_field: {{ key: api_key, existing: {existing} }}"));
            injection.admit_body(&head("/", &[FORM]), body.as_bytes(), placeholder).is_ok()
        };
        assert!(admits("require_placeholder", "a=1&api_key=p%68", Some(&placeholder)));
        for bad in ["", "api_key=x", "api_key=ph&api_key=ph", "b=ph"] {
            assert!(!admits("require_placeholder", bad, Some(&placeholder)), "{bad}");
        }
        assert!(!admits("require_placeholder", "api_key=", None));
        assert!(admits("if_absent", "a=1", None) && !admits("if_absent", "api_key=", None) && admits("overwrite", "api_key=x", None));
    }
}
