use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, IntoDeserializer, MapAccess, VariantAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::{
    basic, bearer, cookie, dpop, form_field, header, headers, hmac, http_signature, json_field, mutual_tls, path_segment, query, sigv4,
};

/// How a credential goes on the wire: `inject: bearer`, or `inject: { header: { name: x-api-key } }`. The bare word will do
/// wherever the injection has no key that must be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub Kind);

/// The list of injections: the YAML key is the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// `Authorization: Bearer TOKEN`.
    Bearer(bearer::Shape),
    /// `Authorization: Basic …` of a user and a password.
    Basic(basic::Shape),
    /// One header with a template.
    Header(header::Shape),
    /// Several headers with templates.
    Headers(headers::Shape),
    /// One key of the query.
    Query(query::Shape),
    /// One cookie.
    Cookie(cookie::Shape),
    /// One segment of the path.
    PathSegment(path_segment::Shape),
    /// One field of a form in the body.
    FormField(form_field::Shape),
    /// One field of a JSON body.
    JsonField(json_field::Shape),
    /// AWS Signature Version 4.
    Sigv4(sigv4::Shape),
    /// An HMAC over what a template names.
    Hmac(hmac::Shape),
    /// A client certificate in the TLS handshake with the destination.
    MutualTls(mutual_tls::Shape),
    /// HTTP message signatures (RFC 9421).
    HttpSignature(http_signature::Shape),
    /// A token that is bound to a key, with a proof for each request (RFC 9449).
    Dpop(dpop::Shape),
}

/// What happens to what the application itself sent in the injected slot. What it sent never reaches the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// It is replaced. The default.
    #[default]
    Overwrite,
    /// The slot must be empty: a request that brings a value of its own is refused.
    IfAbsent,
    /// The slot must hold exactly the placeholder of this credential and task, once.
    RequirePlaceholder,
}

/// The injections that need no key, for the JSON Schema; a test compares them with what is read.
const BARE_WORDS: [&str; 4] = ["bearer", "basic", "mutual_tls", "dpop"];

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrMap).map(Shape)
    }
}

impl JsonSchema for Shape {
    fn schema_name() -> Cow<'static, str> {
        "Inject".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<Kind>();
        json_schema!({
            "description": "How a credential goes on the wire.",
            "oneOf": [{ "type": "string", "enum": BARE_WORDS }, map],
        })
    }
}

/// Reads a bare word as a map of that one key with nothing in it, so that both forms have the same errors.
struct WordOrMap;

impl<'de> Visitor<'de> for WordOrMap {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an injection such as `bearer`, or `{ header: { name: x-api-key } }`")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Kind, E> {
        Kind::deserialize(OneKey(MapDeserializer::new(std::iter::once((word, NoKeys)))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Kind, A::Error> {
        Kind::deserialize(OneKey(map))
    }
}

/// A map of exactly one key, read as an externally tagged enum. Errors keep the places that the map's own deserializer gives them.
struct OneKey<A>(A);

impl<'de, A: MapAccess<'de>> Deserializer<'de> for OneKey<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for OneKey<A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Self), A::Error> {
        match self.0.next_key_seed(seed)? {
            Some(kind) => Ok((kind, self)),
            None => Err(de::Error::custom("`inject` names no injection")),
        }
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for OneKey<A> {
    type Error = A::Error;

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, A::Error> {
        let value = self.0.next_value_seed(seed)?;
        match self.0.next_key::<IgnoredAny>()? {
            None => Ok(value),
            Some(_) => Err(de::Error::custom("`inject` names more than one injection")),
        }
    }

    fn unit_variant(self) -> Result<(), A::Error> {
        self.newtype_variant_seed(std::marker::PhantomData::<IgnoredAny>).map(|_| ())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, A::Error> {
        Err(de::Error::invalid_type(de::Unexpected::TupleVariant, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, A::Error> {
        Err(de::Error::invalid_type(de::Unexpected::StructVariant, &visitor))
    }
}

/// The empty map behind a bare word.
struct NoKeys;

impl<'de, E: de::Error> IntoDeserializer<'de, E> for NoKeys {
    type Deserializer = MapDeserializer<'de, std::iter::Empty<(StrDeserializer<'de, E>, StrDeserializer<'de, E>)>, E>;

    fn into_deserializer(self) -> Self::Deserializer {
        MapDeserializer::new(std::iter::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Kind, String> {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Entry {
            inject: Shape,
        }
        serde_saphyr::from_str::<Entry>(yaml).map(|entry| entry.inject.0).map_err(|error| error.to_string())
    }

    #[test]
    fn the_bare_word_is_the_map_with_nothing_in_it() {
        assert_eq!(read("inject: bearer").unwrap(), read("inject: { bearer: {} }").unwrap());
        assert_eq!(read("inject: basic").unwrap(), read("inject:\n  basic: { existing: overwrite }").unwrap());
    }

    #[test]
    fn the_map_form_holds_the_keys_of_the_injection() {
        let Kind::Bearer(bearer) = read("inject: { bearer: { existing: require_placeholder } }").unwrap() else { panic!() };
        assert_eq!(bearer.existing, Existing::RequirePlaceholder);
        let Kind::Header(header) = read("inject: { header: { name: x-api-key, value: 'k {token}', existing: if_absent } }").unwrap() else {
            panic!()
        };
        assert_eq!((header.name.as_str(), header.value.as_str()), ("x-api-key", "k {token}"));
        let Kind::Headers(headers) = read("inject: { headers: { set: { a: '{user}', b: '{password}' } } }").unwrap() else { panic!() };
        assert_eq!(headers.set.len(), 2);
        let Kind::Query(query) = read("inject: { query: { key: key } }").unwrap() else { panic!() };
        assert_eq!((query.key.as_str(), query.existing), ("key", Existing::Overwrite));
    }

    #[test]
    fn a_bare_word_does_not_do_where_a_key_is_needed() {
        assert!(read("inject: header").unwrap_err().contains("name"));
        assert!(read("inject: query").unwrap_err().contains("key"));
    }

    #[test]
    fn mistakes_are_refused_where_they_stand() {
        for (yaml, word, line) in [
            ("inject: beerer", "beerer", 1),
            ("inject:\n  bearer:\n    existing: always\n", "always", 3),
            ("inject:\n  bearer:\n    exsiting: overwrite\n", "exsiting", 3),
            ("inject:\n  beerer: {}\n", "beerer", 2),
            ("inject:\n  bearer: {}\n  basic: {}\n", "more than one", 1),
            ("inject: {}\n", "names no injection", 1),
            ("inject: [bearer]\n", "an injection such as", 1),
            ("inject: 3\n", "an injection such as", 1),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(word), "{yaml}: {error}");
            if line > 1 {
                assert!(error.contains(&format!("line {line}")) || error.contains(&format!(":{line}:")), "{yaml}: {error}");
            }
        }
    }

    #[test]
    fn the_schema_lists_exactly_the_words_that_are_read() {
        let schema = schemars::schema_for!(Shape).to_value().to_string();
        let kinds = [
            "bearer",
            "basic",
            "header",
            "headers",
            "query",
            "cookie",
            "path_segment",
            "form_field",
            "json_field",
            "sigv4",
            "hmac",
            "mutual_tls",
            "http_signature",
            "dpop",
        ];
        for kind in kinds {
            assert!(schema.contains(kind));
            assert_eq!(read(&format!("inject: {kind}")).is_ok(), BARE_WORDS.contains(&kind), "{kind}");
        }
    }
}
