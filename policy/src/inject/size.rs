use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// The most of a body that is ever held in memory.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// A number of bytes with its unit: `64KiB`, `1MiB`; from 1 KiB to 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub(super) usize);

impl Default for Size {
    /// One MiB.
    fn default() -> Self {
        Self(1024 * 1024)
    }
}

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let kib = |digits: &str, factor: usize| digits.parse::<u16>().ok().map(|count| usize::from(count) * factor);
        let bytes = match (text.strip_suffix("KiB"), text.strip_suffix("MiB")) {
            (Some(digits), _) => kib(digits, 1024),
            (None, Some(digits)) => kib(digits, 1024 * 1024),
            (None, None) => None,
        };
        bytes.filter(|bytes| !text.starts_with(['0', '+']) && *bytes <= BYTES_MAX).map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size with its unit, such as `1MiB`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text).ok_or_else(|| E::custom(format!("`{text}` is not a size between `1KiB` and `16MiB`")))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[1-9][0-9]*[KM]iB$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_and_a_limit() {
        for (text, bytes) in [("1KiB", Some(1024)), ("64KiB", Some(65_536)), ("1MiB", Some(1 << 20)), ("16MiB", Some(BYTES_MAX))] {
            assert_eq!(Size::parse(text).map(|size| size.0), bytes, "{text}");
        }
        for text in ["", "1", "1MB", "1 MiB", "0KiB", "01KiB", "+1KiB", "-1KiB", "17MiB", "65536MiB", "1.5MiB", "MiB", "1mib"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
    }
}
