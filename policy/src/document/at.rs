use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::problem::Place;

/// A value and where it stands in its file.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// First byte.
    start: usize,
    /// Byte after the last.
    end: usize,
}

impl<T> At<T> {
    /// Where it stands, in the file of that number.
    pub(crate) fn place(&self, file: usize) -> Place {
        Place { file, start: self.start, end: self.end }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(SPANNED, AtVisitor(PhantomData))
    }
}

/// Under this name the YAML library hands out a value with its location, for its own `Spanned`. That type reads plain values and the maps
/// of other formats too, and so compiles everything that it wraps some twenty times over: 2 MB of the binary. Here only what the library
/// itself hands out is read.
const SPANNED: &str = "__yaml_spanned";

struct AtVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
    type Value = At<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its location")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    /// `value`, `referenced` (where it stands) and, of no use here, a mark and `defined` (where an alias of it was made).
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut value, mut location) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "value" => value = Some(map.next_value()?),
                "referenced" => location = Some(map.next_value()?),
                "defined" => drop(map.next_value::<serde_saphyr::Location>()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let value = value.ok_or_else(|| A::Error::missing_field("value"))?;
        let (start, end) = byte_range(location.ok_or_else(|| A::Error::missing_field("referenced"))?);
        Ok(At { value, start, end })
    }
}

/// The bytes that a location of the YAML library covers.
pub(crate) fn byte_range(location: serde_saphyr::Location) -> (usize, usize) {
    let bytes = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let start = bytes(location.span().byte_offset()).unwrap_or_default();
    (start, start.saturating_add(bytes(location.span().byte_len()).unwrap_or_default()))
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A map of named entries in the order of the file; the reader refuses duplicate names.
#[derive(Debug)]
pub struct Entries<V>(pub(crate) Vec<(At<String>, V)>);

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
    type Value = Entries<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of named entries")
    }

    /// A section whose entries are all commented out is empty.
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Entries::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

impl<V: JsonSchema> JsonSchema for Entries<V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<V>() })
    }
}
