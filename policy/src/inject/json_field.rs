//! One field of a JSON body, for services that take their key there.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use http::HeaderName;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::form_field::is_plain;
use super::size::Size;
use super::{Complaint, Existing, Inject, Payload, Rendered, Sending, SlotRefusal, rendered};
use crate::material::{Material, MaterialKind, Secret};

const KIND: &str = "json_field";

/// Objects that a field may stand in.
const DEPTH_MAX: usize = 8;

/// Puts a token into one field of a JSON body, which is read for that. All other bytes stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Where it stands, as a JSON pointer through objects: `/api_key`, `/auth/token`. Only the last field may be missing: it is added.
    pub pointer: String,
    /// The largest body that is read. Default `1MiB`, at most `16MiB`.
    #[serde(default)]
    pub body_max: Size,
    /// What happens to this field where the application sent it. Default: `overwrite`.
    #[serde(default)]
    pub existing: Existing,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct JsonField {
    /// Names of the objects it stands in, then its own.
    names: Vec<String>,
    body_bytes_max: usize,
    existing: Existing,
}

/// Where a field stands in the bytes of a body.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Its value.
    Value(Range<usize>),
    /// It is missing: it would be the first of the object that begins before this byte; `alone` where nothing else is in that.
    Missing { after: usize, alone: bool },
}

impl JsonField {
    pub(super) fn compile(shape: &Shape) -> Result<Self, Complaint> {
        let wrong =
            || (format!("`{}` is not a pointer to a field", shape.pointer), "write it as in `/api_key` or `/auth/token`".to_owned());
        let names = shape.pointer.strip_prefix('/').ok_or_else(wrong)?;
        let names: Vec<String> = names.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        if names.len() > DEPTH_MAX || names.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok(Self { names, body_bytes_max: shape.body_max.0, existing: shape.existing })
    }

    fn place(&self, head: &Parts, body: Option<&[u8]>) -> Result<(Place, usize), &'static str> {
        if !is_plain(head, |essence| essence == "application/json" || essence.ends_with("+json")) {
            return Err("the body is not said to be JSON");
        }
        let body = std::str::from_utf8(body.ok_or("the body must be read first")?).map_err(|_| "the body is no JSON")?;
        let mut value: &RawValue = serde_json::from_str(body).map_err(|_| "the body is no JSON")?;
        let begins = |part: &str| part.as_ptr().addr() - body.as_ptr().addr();
        let (last, objects) = self.names.split_last().ok_or("the field has no name")?;
        for name in objects {
            value = field(value, name)?.0.ok_or("an object that the field stands in is missing")?;
        }
        let (found, others) = field(value, last)?;
        let start = begins(value.get());
        Ok(match found {
            Some(found) => (Place::Value(begins(found.get())..begins(found.get()) + found.get().len()), body.len()),
            None => (Place::Missing { after: start + 1, alone: !others }, body.len()),
        })
    }
}

/// The value of a field of an object, and whether the object has other fields. One that stands there twice is read differently by every service.
fn field<'b>(object: &'b RawValue, name: &str) -> Result<(Option<&'b RawValue>, bool), &'static str> {
    struct Fields<'n>(&'n str);

    impl<'de> Visitor<'de> for Fields<'_> {
        type Value = (Vec<&'de RawValue>, bool);

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut found, mut others) = (Vec::new(), false);
            while let Some((key, value)) = map.next_entry::<Cow<'de, str>, &RawValue>()? {
                if key == self.0 { found.push(value) } else { others = true }
            }
            Ok((found, others))
        }
    }

    let mut reader = serde_json::Deserializer::from_str(object.get());
    let (found, others) = reader.deserialize_map(Fields(name)).map_err(|_| "what the field stands in is no object")?;
    match found.as_slice() {
        [] => Ok((None, others)),
        [only] => Ok((Some(only), others)),
        _ => Err("the field stands there more than once"),
    }
}

impl Inject for JsonField {
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
        let text = std::str::from_utf8(token.expose()).map_err(|_| "it is no text".to_owned())?;
        // Six bytes for one at most: with the room taken beforehand, growing leaves no copy behind.
        let mut written = Zeroizing::new(Vec::with_capacity(token.len() * 6 + 2));
        serde_json::to_writer(&mut *written, text).map_err(|_| "it is no text".to_owned())?;
        let bare = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
        let mut needles = vec![Secret::new(token.expose().to_vec())];
        if !token.is(bare) {
            needles.push(Secret::new(bare.to_vec()));
        }
        Ok(Rendered { text: Some((KIND, Secret::new(written.to_vec()))), needles, ..Rendered::default() })
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
        let (place, _) = self.place(head, Some(body)).map_err(SlotRefusal::Unreadable)?;
        match (self.existing, place) {
            (Existing::Overwrite, _) | (Existing::IfAbsent, Place::Missing { .. }) => Ok(()),
            (Existing::IfAbsent, Place::Value(_)) => Err(SlotRefusal::Occupied),
            (Existing::RequirePlaceholder, Place::Missing { .. }) => Err(SlotRefusal::NotThePlaceholder),
            (Existing::RequirePlaceholder, Place::Value(range)) => {
                let value = body.get(range).and_then(|value| serde_json::from_slice::<Cow<'_, str>>(value).ok());
                let same = value.zip(placeholder).is_some_and(|(value, placeholder)| placeholder.is(value.as_bytes()));
                same.then_some(()).ok_or(SlotRefusal::NotThePlaceholder)
            }
        }
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, sending: &Sending<'_>) -> Result<Payload, String> {
        let ours = rendered.text_of(KIND)?;
        let (place, length) = self.place(head, sending.body)?;
        let (body, name) = (sending.body.unwrap_or_default(), self.names.last().map_or("", String::as_str));
        let name = serde_json::to_string(name).map_err(|_| "the field has no name".to_owned())?;
        let mut changed = Zeroizing::new(Vec::with_capacity(length + name.len() + ours.len() + 2));
        let mut push = |part: &[u8]| changed.extend_from_slice(part);
        let (before, after) = match &place {
            Place::Value(range) => (body.get(..range.start), body.get(range.end..)),
            Place::Missing { after, .. } => (body.get(..*after), body.get(*after..)),
        };
        push(before.unwrap_or_default());
        if let Place::Missing { .. } = place {
            push(name.as_bytes());
            push(b":");
        }
        push(ours.as_bytes());
        if let Place::Missing { alone: false, .. } = place {
            push(b",");
        }
        push(after.unwrap_or_default());
        Ok(Payload::Replaced(changed))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaint, head, injection, sending, token};
    use super::*;

    const JSON: (&str, &str) = ("content-type", "application/json");

    fn acted(pointer: &str, body: &str) -> Result<String, String> {
        let (injection, mut head) = (injection(&format!("json_field: {{ pointer: {pointer} }}")), head("/", &[JSON]));
        let rendered = injection.render(&token("T\"0")).unwrap();
        let sending = Sending { body: Some(body.as_bytes()), ..sending() };
        match injection.act(&mut head, &rendered, &sending)? {
            Payload::Replaced(body) => Ok(String::from_utf8(body.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_field_is_replaced_and_no_other_byte() {
        for (pointer, body, expected) in [
            ("/key", r#"{"a":1.10,"key":"mine" , "b":[1e400]}"#, r#"{"a":1.10,"key":"T\"0" , "b":[1e400]}"#),
            ("/key", r#" {"k\u0065y": {"x":1}} "#, r#" {"k\u0065y": "T\"0"} "#),
            ("/auth/token", r#"{"token":"outer","auth":{"token":null}}"#, r#"{"token":"outer","auth":{"token":"T\"0"}}"#),
            ("/key", r#"{"a":1}"#, r#"{"key":"T\"0","a":1}"#),
            ("/key", "{}", r#"{"key":"T\"0"}"#),
            ("/auth/token", r#"{"auth": { } }"#, r#"{"auth": {"token":"T\"0" } }"#),
        ] {
            assert_eq!(acted(pointer, body).unwrap(), expected);
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_or_not_at_all_is_refused() {
        for (pointer, body) in [
            ("/key", r#"{"key":1,"key":2}"#),
            ("/key", r#"{"key":1,"k\u0065y":2}"#),
            ("/auth/token", r#"{"auth":{},"auth":{"token":1}}"#),
            ("/auth/token", r#"{"auth":"x"}"#),
            ("/auth/token", "{}"),
            ("/key", "[]"),
            ("/key", ""),
            ("/key", "{\"key\":1} {}"),
            ("/key", "{\"key\":"),
        ] {
            assert!(acted(pointer, body).is_err(), "{body}");
        }
        let injection = injection("json_field: { pointer: /key }");
        let rendered = injection.render(&token("t")).unwrap();
        for headers in [&[][..], &[("content-type", "text/plain")], &[JSON, ("content-encoding", "gzip")]] {
            let sending = Sending { body: Some(b"{}"), ..sending() };
            assert!(injection.act(&mut head("/", headers), &rendered, &sending).is_err());
        }
    }

    #[test]
    fn the_field_must_hold_the_placeholder() {
        let placeholder = Secret::new(b"ph".to_vec());
        let admits = |existing: &str, body: &str| {
            let injection = injection(&format!("json_field: {{ pointer: /key, existing: {existing} }}"));
            injection.admit_body(&head("/", &[JSON]), body.as_bytes(), Some(&placeholder)).is_ok()
        };
        assert!(admits("require_placeholder", r#"{"key":"p\u0068"}"#) && admits("if_absent", "{}") && admits("overwrite", "{}"));
        assert!(
            !admits("require_placeholder", r#"{"key":"x"}"#)
                && !admits("require_placeholder", "{}")
                && !admits("if_absent", r#"{"key":null}"#)
        );
    }

    #[test]
    fn a_pointer_goes_through_objects() {
        for bad in ["''", "key", "/", "/a//b", "/1/2/3/4/5/6/7/8/9"] {
            assert!(complaint(&format!("json_field: {{ pointer: {bad} }}")).0.contains("is not a pointer"), "{bad}");
        }
    }

    #[test]
    fn needles_are_the_token_and_its_escaped_form() {
        let rendered = injection("json_field: { pointer: /key }").render(&token("T\"0")).unwrap();
        assert!(rendered.needles()[0].is(b"T\"0") && rendered.needles()[1].is(b"T\\\"0"));
    }
}
