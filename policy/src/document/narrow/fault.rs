use std::fmt;

use serde::de::{Error, Expected, Unexpected};

/// What goes wrong on our side. One word long: every field of every type that is read has a way out for it.
#[derive(Debug)]
pub(super) struct Fault(Box<Kind>);

/// Serde's own kinds, so that the library words it as it always does.
#[derive(Debug)]
enum Kind {
    /// The library's own error: it waits in the frame below that met it.
    Below,
    Custom(String),
    InvalidType(Seen, String),
    InvalidValue(Seen, String),
    InvalidLength(usize, String),
    UnknownVariant(String, &'static [&'static str]),
    UnknownField(String, &'static [&'static str]),
    MissingField(&'static str),
    DuplicateField(&'static str),
}

/// An [`Unexpected`] that owns its text.
#[derive(Debug)]
pub(super) enum Seen {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Char(char),
    Str(String),
    Other(String),
    Unit,
    Option,
    Newtype,
    Seq,
    Map,
    Enum,
    UnitVariant,
    NewtypeVariant,
    TupleVariant,
    StructVariant,
}

impl Fault {
    /// The library's own error waits in the frame below that met it.
    pub(super) fn below() -> Self {
        Kind::Below.into()
    }

    /// A value of either side is read once.
    #[cold]
    pub(super) fn used_twice() -> Self {
        Kind::Custom("read twice".to_owned()).into()
    }

    /// The same in the words of another error type.
    pub(super) fn into_error<E: Error>(self) -> E {
        match *self.0 {
            // Its frame takes the library's error out before it asks.
            Kind::Below => E::custom("the value cannot be read"),
            Kind::Custom(message) => E::custom(message),
            Kind::InvalidType(seen, expected) => E::invalid_type(seen.as_unexpected(), &expected.as_str()),
            Kind::InvalidValue(seen, expected) => E::invalid_value(seen.as_unexpected(), &expected.as_str()),
            Kind::InvalidLength(length, expected) => E::invalid_length(length, &expected.as_str()),
            Kind::UnknownVariant(name, expected) => E::unknown_variant(&name, expected),
            Kind::UnknownField(name, expected) => E::unknown_field(&name, expected),
            Kind::MissingField(name) => E::missing_field(name),
            Kind::DuplicateField(name) => E::duplicate_field(name),
        }
    }

    /// The library's error that waits in this frame, or ours in its words.
    pub(super) fn or_waiting<E: Error>(self, waiting: Option<E>) -> E {
        match waiting {
            Some(error) => error,
            None => self.into_error(),
        }
    }
}

impl Seen {
    fn of(unexpected: Unexpected<'_>) -> Self {
        match unexpected {
            Unexpected::Bool(value) => Self::Bool(value),
            Unexpected::Unsigned(value) => Self::Unsigned(value),
            Unexpected::Signed(value) => Self::Signed(value),
            Unexpected::Float(value) => Self::Float(value),
            Unexpected::Char(value) => Self::Char(value),
            Unexpected::Str(value) => Self::Str(value.to_owned()),
            Unexpected::Bytes(_) => Self::Other("bytes".to_owned()),
            Unexpected::Unit => Self::Unit,
            Unexpected::Option => Self::Option,
            Unexpected::NewtypeStruct => Self::Newtype,
            Unexpected::Seq => Self::Seq,
            Unexpected::Map => Self::Map,
            Unexpected::Enum => Self::Enum,
            Unexpected::UnitVariant => Self::UnitVariant,
            Unexpected::NewtypeVariant => Self::NewtypeVariant,
            Unexpected::TupleVariant => Self::TupleVariant,
            Unexpected::StructVariant => Self::StructVariant,
            Unexpected::Other(value) => Self::Other(value.to_owned()),
        }
    }

    fn as_unexpected(&self) -> Unexpected<'_> {
        match self {
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Unsigned(value) => Unexpected::Unsigned(*value),
            Self::Signed(value) => Unexpected::Signed(*value),
            Self::Float(value) => Unexpected::Float(*value),
            Self::Char(value) => Unexpected::Char(*value),
            Self::Str(value) => Unexpected::Str(value),
            Self::Other(value) => Unexpected::Other(value),
            Self::Unit => Unexpected::Unit,
            Self::Option => Unexpected::Option,
            Self::Newtype => Unexpected::NewtypeStruct,
            Self::Seq => Unexpected::Seq,
            Self::Map => Unexpected::Map,
            Self::Enum => Unexpected::Enum,
            Self::UnitVariant => Unexpected::UnitVariant,
            Self::NewtypeVariant => Unexpected::NewtypeVariant,
            Self::TupleVariant => Unexpected::TupleVariant,
            Self::StructVariant => Unexpected::StructVariant,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

impl From<Kind> for Fault {
    #[cold]
    fn from(kind: Kind) -> Self {
        Self(Box::new(kind))
    }
}

impl Error for Fault {
    #[cold]
    #[inline(never)]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Kind::Custom(message.to_string()).into()
    }

    #[cold]
    #[inline(never)]
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Kind::InvalidType(Seen::of(unexpected), expected.to_string()).into()
    }

    #[cold]
    #[inline(never)]
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Kind::InvalidValue(Seen::of(unexpected), expected.to_string()).into()
    }

    #[cold]
    #[inline(never)]
    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Kind::InvalidLength(length, expected.to_string()).into()
    }

    #[cold]
    #[inline(never)]
    fn unknown_variant(name: &str, expected: &'static [&'static str]) -> Self {
        Kind::UnknownVariant(name.to_owned(), expected).into()
    }

    #[cold]
    #[inline(never)]
    fn unknown_field(name: &str, expected: &'static [&'static str]) -> Self {
        Kind::UnknownField(name.to_owned(), expected).into()
    }

    #[cold]
    #[inline(never)]
    fn missing_field(name: &'static str) -> Self {
        Kind::MissingField(name).into()
    }

    #[cold]
    #[inline(never)]
    fn duplicate_field(name: &'static str) -> Self {
        Kind::DuplicateField(name).into()
    }
}
