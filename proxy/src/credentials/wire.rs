use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keygress_policy::material::Secret;
use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON string that goes straight into a [`Secret`], with no copy left behind on an error.
#[derive(Debug)]
pub(super) struct SecretText(pub(super) Secret);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = SecretText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            // The message of the default would show a value of another type; this one is never shown, but who knows of tomorrow.
            fn visit_str<E>(self, text: &str) -> Result<SecretText, E> {
                Ok(SecretText(Secret::new(text.as_bytes().to_vec())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// `expires_in`: whole seconds as a number, or as digits in a string, which some issuers write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Seconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds")
            }

            fn visit_u64<E>(self, seconds: u64) -> Result<Seconds, E> {
                Ok(Seconds(seconds))
            }

            fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<Seconds, E> {
                Duration::try_from_secs_f64(seconds).map(|time| Seconds(time.as_secs())).map_err(|_| E::custom("not a time"))
            }

            fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<Seconds, E> {
                digits.parse().map(Seconds).map_err(|_| E::custom("not seconds"))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// A moment as RFC 3339 spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom("not a moment"))
    }
}

/// A JSON string, or something else that is not kept.
#[derive(Debug)]
pub(super) enum TextOrOther {
    Text(Secret),
    Other,
}

impl<'de> Deserialize<'de> for TextOrOther {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = TextOrOther;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextOrOther, E> {
                Ok(TextOrOther::Text(Secret::new(text.as_bytes().to_vec())))
            }

            fn visit_bool<E>(self, _: bool) -> Result<TextOrOther, E> {
                Ok(TextOrOther::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<TextOrOther, E> {
                Ok(TextOrOther::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<TextOrOther, E> {
                Ok(TextOrOther::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<TextOrOther, E> {
                Ok(TextOrOther::Other)
            }

            fn visit_unit<E>(self) -> Result<TextOrOther, E> {
                Ok(TextOrOther::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TextOrOther, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(TextOrOther::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextOrOther, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(TextOrOther::Other)
            }
        }

        deserializer.deserialize_any(Anything)
    }
}

/// A time with its unit in the policy, such as `5m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub(super) struct Time(#[schemars(with = "String")] pub(super) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
        time.map(Self).ok_or_else(|| D::Error::custom(format!("`{text}` is not a time with its unit, such as `5m`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_a_number_or_digits() {
        for (json, seconds) in [("3600", 3600), ("\"3600\"", 3600), ("3599.9", 3599), ("0", 0)] {
            assert_eq!(serde_json::from_str::<Seconds>(json).unwrap(), Seconds(seconds));
        }
        for json in ["-1", "\"soon\"", "null", "1e300", "[1]"] {
            assert!(serde_json::from_str::<Seconds>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn what_is_no_text_is_not_kept() {
        for json in ["true", "-1", "1", "1.5", "null", "[\"a\", {}]", "{\"a\": [1]}"] {
            assert!(matches!(serde_json::from_str(json).unwrap(), TextOrOther::Other), "{json}");
        }
        assert!(matches!(serde_json::from_str("\"abc\"").unwrap(), TextOrOther::Text(text) if text.is(b"abc")));
    }

    #[test]
    fn a_moment_is_one_of_rfc_3339() {
        let moment = serde_json::from_str::<Moment>("\"2026-11-24T10:00:00Z\"").unwrap();
        assert_eq!(moment, Moment("2026-11-24T10:00:00Z".parse().unwrap()));
        for json in ["\"soon\"", "1700000000", "\"2026-11-24\"", "null"] {
            assert!(serde_json::from_str::<Moment>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_secret_is_a_string() {
        assert!(serde_json::from_str::<SecretText>("\"a\\u0062c\"").unwrap().0.is(b"abc"));
        assert!(serde_json::from_str::<SecretText>("7").is_err());
    }
}
