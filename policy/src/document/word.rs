//! Values that are a word or something longer.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::{At, Expect, From, GrantedEntry};

impl<'de> Deserialize<'de> for From {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FromVisitor)
    }
}

struct FromVisitor;

impl<'de> Visitor<'de> for FromVisitor {
    type Value = From;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the word `any` or a list of workloads")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<From, E> {
        if word == "any" { Ok(From::Any) } else { Err(E::invalid_value(Unexpected::Str(word), &self)) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<From, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element::<At<String>>()? {
            names.push(name);
        }
        Ok(From::Workloads(names))
    }
}

impl JsonSchema for From {
    fn schema_name() -> Cow<'static, str> {
        "From".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "const": "any" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExpectVisitor)
    }
}

struct ExpectVisitor;

impl<'de> Visitor<'de> for ExpectVisitor {
    type Value = Expect;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`deny`, `allow`, or `{ rule: NAME, credential: NAME }`")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Expect, E> {
        match word {
            "deny" => Ok(Expect::Deny),
            "allow" => Ok(Expect::Allow),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expect, A::Error> {
        GrantedEntry::deserialize(MapAccessDeserializer::new(map)).map(Expect::Granted)
    }
}

impl JsonSchema for Expect {
    fn schema_name() -> Cow<'static, str> {
        "Expect".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "enum": ["deny", "allow"] }, generator.subschema_for::<GrantedEntry>()] })
    }
}
