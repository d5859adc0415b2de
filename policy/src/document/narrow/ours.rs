use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{Ask, Choice, Fault, Given, Items, Pairs, Seed, Source, Target};

/// A type of ours that waits for its deserializer, then its value.
pub(super) struct Waiting<S, V> {
    seed: Option<S>,
    value: Option<V>,
}

impl<S, V> Waiting<S, V> {
    pub(super) fn new(seed: S) -> Self {
        Self { seed: Some(seed), value: None }
    }

    pub(super) fn value(self) -> Result<V, Fault> {
        self.value.ok_or_else(Fault::used_twice)
    }
}

impl<'de, S: DeserializeSeed<'de>> Seed<'de> for Waiting<S, S::Value> {
    fn read(&mut self, source: &mut dyn Source<'de>) -> Result<(), Fault> {
        let seed = self.seed.take().ok_or_else(Fault::used_twice)?;
        self.value = Some(seed.deserialize(Door(source))?);
        Ok(())
    }
}

impl<'de, V: Visitor<'de>> Target<'de> for Waiting<V, V::Value> {
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seed.as_ref().map_or(Ok(()), |visitor| visitor.expecting(f))
    }

    fn take(&mut self, given: Given<'_, 'de>) -> Result<(), Fault> {
        let visitor = self.seed.take().ok_or_else(Fault::used_twice)?;
        let value = match given {
            Given::Bool(value) => visitor.visit_bool(value),
            Given::I64(value) => visitor.visit_i64(value),
            Given::U64(value) => visitor.visit_u64(value),
            Given::I128(value) => visitor.visit_i128(value),
            Given::U128(value) => visitor.visit_u128(value),
            Given::F64(value) => visitor.visit_f64(value),
            Given::Str(value) => visitor.visit_str(value),
            Given::Borrowed(value) => visitor.visit_borrowed_str(value),
            Given::String(value) => visitor.visit_string(value),
            Given::Unit => visitor.visit_unit(),
            Given::None => visitor.visit_none(),
            Given::Some(source) => visitor.visit_some(Door(source)),
            Given::Newtype(source) => visitor.visit_newtype_struct(Door(source)),
            Given::Seq(items) => visitor.visit_seq(Door(items)),
            Given::Map(pairs) => visitor.visit_map(Door(pairs)),
            Given::Enum(choice) => visitor.visit_enum(Door(choice)),
        };
        self.value = Some(value?);
        Ok(())
    }
}

/// What our types see of the library.
struct Door<'d, T: ?Sized>(&'d mut T);

impl<'de> Door<'_, dyn Source<'de> + '_> {
    // Once for each kind of value, and not again at each field of that kind.
    #[inline(never)]
    fn ask<V: Visitor<'de>>(self, ask: Ask, visitor: V) -> Result<V::Value, Fault> {
        let mut target = Waiting::new(visitor);
        self.0.ask(ask, &mut target)?;
        target.value()
    }
}

/// Each kind of value is asked for under its own name.
macro_rules! asks {
    ($($method:ident => $ask:ident,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.ask(Ask::$ask, visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Door<'_, dyn Source<'de> + '_> {
    type Error = Fault;

    asks! {
        deserialize_any => Any,
        deserialize_bool => Bool,
        deserialize_i8 => I64,
        deserialize_i16 => I64,
        deserialize_i32 => I64,
        deserialize_i64 => I64,
        deserialize_u8 => U8,
        deserialize_u16 => U16,
        deserialize_u32 => U32,
        deserialize_u64 => U64,
        deserialize_f32 => F64,
        deserialize_f64 => F64,
        deserialize_char => Str,
        deserialize_str => Str,
        deserialize_string => String,
        deserialize_bytes => Any,
        deserialize_byte_buf => Any,
        deserialize_option => Option,
        deserialize_unit => Unit,
        deserialize_seq => Seq,
        deserialize_map => Map,
        deserialize_identifier => Identifier,
        deserialize_ignored_any => Ignored,
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Ask::Unit, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Ask::Newtype(name), visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Ask::Tuple(length), visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _name: &'static str, length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Ask::Tuple(length), visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.ask(Ask::Struct(name, fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.ask(Ask::Enum(name, variants), visitor)
    }
}

impl<'de> SeqAccess<'de> for Door<'_, dyn Items<'de> + '_> {
    type Error = Fault;

    #[inline(never)]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let mut waiting = Waiting::new(seed);
        if self.0.next(&mut waiting)? { waiting.value().map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Door<'_, dyn Pairs<'de> + '_> {
    type Error = Fault;

    #[inline(never)]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let mut waiting = Waiting::new(seed);
        if self.0.next_key(&mut waiting)? { waiting.value().map(Some) } else { Ok(None) }
    }

    #[inline(never)]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let mut waiting = Waiting::new(seed);
        self.0.next_value(&mut waiting)?;
        waiting.value()
    }
}

impl<'d, 'de> EnumAccess<'de> for Door<'d, dyn Choice<'de> + 'd> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let mut waiting = Waiting::new(seed);
        self.0.name(&mut waiting)?;
        Ok((waiting.value()?, self))
    }
}

impl<'de> VariantAccess<'de> for Door<'_, dyn Choice<'de> + '_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        self.0.unit()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        let mut waiting = Waiting::new(seed);
        self.0.newtype(&mut waiting)?;
        waiting.value()
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        let mut target = Waiting::new(visitor);
        self.0.tuple(length, &mut target)?;
        target.value()
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        let mut target = Waiting::new(visitor);
        self.0.structure(fields, &mut target)?;
        target.value()
    }
}
