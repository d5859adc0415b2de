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
    bytes: Bytes,
}

impl<T> At<T> {
    /// Where it stands, in the file of that number.
    pub(crate) fn place(&self, file: usize) -> Place {
        Place { file, start: self.bytes.start as usize, end: self.bytes.end as usize }
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

    /// A mark, `value`, `referenced` (where it stands) and, of no use here and left where it is, `defined` (where an alias of it was made).
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut value = None;
        while let Some(part) = map.next_key()? {
            match part {
                Part::Value => value = Some(map.next_value()?),
                Part::Place => {
                    let bytes = map.next_value()?;
                    return Ok(At { value: value.ok_or_else(|| A::Error::missing_field("value"))?, bytes });
                }
                Part::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Err(A::Error::missing_field("referenced"))
    }
}

/// Where a value stands: its first byte and the one after its last. A file of a policy is far smaller than 4 GiB.
#[derive(Clone, Copy, Debug, Default)]
struct Bytes {
    start: u32,
    end: u32,
}

/// A policy of 10,000 rules has 90,000 places: of each only the bytes are read, without a text for every key. Of the time to read a file
/// that is a tenth.
impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Location", &[], BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a location")
    }

    /// A location holds a `span`, and that its `byte_info`; what stands before them is stepped over, what follows is left where it is.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bytes, A::Error> {
        while let Some(part) = map.next_key()? {
            match part {
                Part::Place => return map.next_value(),
                Part::Value => {
                    let (offset, length) = map.next_value::<(u64, u64)>()?;
                    // What is not known is all ones.
                    let bytes = |count: u64| u32::try_from(count).ok().filter(|count| *count < u32::MAX).unwrap_or_default();
                    return Ok(Bytes { start: bytes(offset), end: bytes(offset).saturating_add(bytes(length)) });
                }
                Part::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Err(A::Error::missing_field("byte_info"))
    }
}

/// A key of what the library hands out.
enum Part {
    /// What is looked for: a value, or the bytes that it covers.
    Value,
    /// What leads to its place.
    Place,
    /// Of no use here.
    Other,
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(PartVisitor)
    }
}

struct PartVisitor;

impl Visitor<'_> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a part")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Part, E> {
        Ok(match name {
            "value" | "byte_info" => Part::Value,
            "referenced" | "span" => Part::Place,
            _ => Part::Other,
        })
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

/// A map of named entries in the order of the file; the reader refuses duplicate names. Boxed: an entry has hundreds of bytes, and there
/// may be as many thousands of them, which are sorted.
#[derive(Debug)]
pub struct Entries<V>(pub(crate) Vec<(At<String>, Box<V>)>);

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
