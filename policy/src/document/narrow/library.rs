use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{Ask, Choice, Fault, Given, Items, Pairs, Seed, Source, Target};

/// Reads a value of ours from a deserializer of the library.
pub(super) fn through<'de, D: Deserializer<'de>>(deserializer: D, seed: &mut dyn Seed<'de>) -> Result<(), D::Error> {
    let mut frame = Frame { inner: Some(deserializer), error: None };
    seed.read(&mut frame).map_err(|fault| fault.or_waiting(frame.error))
}

/// What the library gave, and its error that waits here.
struct Frame<T, E> {
    inner: Option<T>,
    error: Option<E>,
}

impl<T, E> Frame<T, E> {
    fn new(inner: T) -> Self {
        Self { inner: Some(inner), error: None }
    }

    fn keep<R>(&mut self, result: Result<R, E>) -> Result<R, Fault> {
        result.map_err(|error| {
            self.error = Some(error);
            Fault::below()
        })
    }
}

impl<'de, D: Deserializer<'de>> Source<'de> for Frame<D, D::Error> {
    fn ask(&mut self, ask: Ask, target: &mut dyn Target<'de>) -> Result<(), Fault> {
        let source = self.inner.take().ok_or_else(Fault::used_twice)?;
        let into = Into(target);
        let result = match ask {
            Ask::Any => source.deserialize_any(into),
            Ask::Bool => source.deserialize_bool(into),
            Ask::I64 => source.deserialize_i64(into),
            Ask::U8 => source.deserialize_u8(into),
            Ask::U16 => source.deserialize_u16(into),
            Ask::U32 => source.deserialize_u32(into),
            Ask::U64 => source.deserialize_u64(into),
            Ask::F64 => source.deserialize_f64(into),
            Ask::Str => source.deserialize_str(into),
            Ask::String => source.deserialize_string(into),
            Ask::Option => source.deserialize_option(into),
            Ask::Unit => source.deserialize_unit(into),
            Ask::Newtype(name) => source.deserialize_newtype_struct(name, into),
            Ask::Seq => source.deserialize_seq(into),
            Ask::Tuple(length) => source.deserialize_tuple(length, into),
            Ask::Map => source.deserialize_map(into),
            Ask::Struct(name, fields) => source.deserialize_struct(name, fields, into),
            Ask::Enum(name, variants) => source.deserialize_enum(name, variants, into),
            Ask::Identifier => source.deserialize_identifier(into),
            Ask::Ignored => source.deserialize_ignored_any(into),
        };
        self.keep(result)
    }
}

/// The one visitor that the library sees.
struct Into<'t, 'de>(&'t mut dyn Target<'de>);

impl<'de> Into<'_, 'de> {
    fn give<E: Error>(self, given: Given<'_, 'de>) -> Result<(), E> {
        self.0.take(given).map_err(Fault::into_error)
    }
}

impl<'de> Visitor<'de> for Into<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.give(Given::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.give(Given::I64(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.give(Given::U64(value))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<(), E> {
        self.give(Given::I128(value))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<(), E> {
        self.give(Given::U128(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.give(Given::F64(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.give(Given::Str(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<(), E> {
        self.give(Given::Borrowed(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<(), E> {
        self.give(Given::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.give(Given::Unit)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.give(Given::None)
    }

    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        let mut frame = Frame::new(source);
        self.0.take(Given::Some(&mut frame)).map_err(|fault| fault.or_waiting(frame.error))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        let mut frame = Frame::new(source);
        self.0.take(Given::Newtype(&mut frame)).map_err(|fault| fault.or_waiting(frame.error))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        let mut frame = Frame::new(items);
        self.0.take(Given::Seq(&mut frame)).map_err(|fault| fault.or_waiting(frame.error))
    }

    fn visit_map<A: MapAccess<'de>>(self, pairs: A) -> Result<(), A::Error> {
        let mut frame = Frame::new(pairs);
        self.0.take(Given::Map(&mut frame)).map_err(|fault| fault.or_waiting(frame.error))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, choice: A) -> Result<(), A::Error> {
        let mut frame = Chosen { access: Some(choice), held: Frame { inner: None, error: None } };
        self.0.take(Given::Enum(&mut frame)).map_err(|fault| fault.or_waiting(frame.held.error))
    }
}

/// The one seed that the library sees.
struct Carrier<'s, 'de>(&'s mut dyn Seed<'de>);

impl<'de> DeserializeSeed<'de> for Carrier<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        through(deserializer, self.0)
    }
}

impl<'de, A: SeqAccess<'de>> Items<'de> for Frame<A, A::Error> {
    fn next(&mut self, seed: &mut dyn Seed<'de>) -> Result<bool, Fault> {
        let items = self.inner.as_mut().ok_or_else(Fault::used_twice)?;
        let item = items.next_element_seed(Carrier(seed));
        self.keep(item).map(|item| item.is_some())
    }
}

impl<'de, A: MapAccess<'de>> Pairs<'de> for Frame<A, A::Error> {
    fn next_key(&mut self, seed: &mut dyn Seed<'de>) -> Result<bool, Fault> {
        let pairs = self.inner.as_mut().ok_or_else(Fault::used_twice)?;
        let key = pairs.next_key_seed(Carrier(seed));
        self.keep(key).map(|key| key.is_some())
    }

    fn next_value(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Fault> {
        let pairs = self.inner.as_mut().ok_or_else(Fault::used_twice)?;
        let value = pairs.next_value_seed(Carrier(seed));
        self.keep(value)
    }
}

/// A choice before and after its name is read.
struct Chosen<'de, A: EnumAccess<'de>> {
    access: Option<A>,
    held: Frame<A::Variant, A::Error>,
}

impl<'de, A: EnumAccess<'de>> Chosen<'de, A> {
    fn end(&mut self, how: impl FnOnce(A::Variant) -> Result<(), A::Error>) -> Result<(), Fault> {
        let variant = self.held.inner.take().ok_or_else(Fault::used_twice)?;
        self.held.keep(how(variant))
    }
}

impl<'de, A: EnumAccess<'de>> Choice<'de> for Chosen<'de, A> {
    fn name(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Fault> {
        let access = self.access.take().ok_or_else(Fault::used_twice)?;
        let named = access.variant_seed(Carrier(seed));
        let ((), variant) = self.held.keep(named)?;
        self.held.inner = Some(variant);
        Ok(())
    }

    fn unit(&mut self) -> Result<(), Fault> {
        self.end(VariantAccess::unit_variant)
    }

    fn newtype(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Fault> {
        self.end(|variant| variant.newtype_variant_seed(Carrier(seed)))
    }

    fn tuple(&mut self, length: usize, target: &mut dyn Target<'de>) -> Result<(), Fault> {
        self.end(|variant| variant.tuple_variant(length, Into(target)))
    }

    fn structure(&mut self, fields: &'static [&'static str], target: &mut dyn Target<'de>) -> Result<(), Fault> {
        self.end(|variant| variant.struct_variant(fields, Into(target)))
    }
}
