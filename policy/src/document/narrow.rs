//! One narrow door between the YAML library and our types.
//!
//! serde compiles the library anew for every type that is read: 2.4 MB of the binary. Here the library sees one visitor, our types see one
//! deserializer, and trait objects stand between them. Unlike `erased-serde` it keeps the library's errors whole, with their places: each
//! waits in the frame that met it, while `Fault::Below` walks up to that frame through our side.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer};

/// The library's side: its values behind trait objects, and the one visitor that it sees.
mod library;

/// Our side: the one deserializer that our types see.
mod ours;

/// What goes wrong, on its way from our side to the library's.
mod fault;

use fault::Fault;

/// Reads `T` through the narrow door.
pub struct Narrow<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Narrow<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut seed = ours::Waiting::new(PhantomData::<T>);
        library::through(deserializer, &mut seed)?;
        seed.value().map(Self).map_err(Fault::into_error)
    }
}

/// What one of our types asks for.
#[derive(Clone, Copy)]
enum Ask {
    Any,
    Bool,
    I64,
    U8,
    U16,
    U32,
    U64,
    F64,
    Str,
    String,
    Option,
    Unit,
    Newtype(&'static str),
    Seq,
    Tuple(usize),
    Map,
    Struct(&'static str, &'static [&'static str]),
    Enum(&'static str, &'static [&'static str]),
    Identifier,
    Ignored,
}

/// What the library hands out.
enum Given<'a, 'de> {
    Bool(bool),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    Str(&'a str),
    Borrowed(&'de str),
    String(String),
    Unit,
    None,
    Some(&'a mut dyn Source<'de>),
    Newtype(&'a mut dyn Source<'de>),
    Seq(&'a mut dyn Items<'de>),
    Map(&'a mut dyn Pairs<'de>),
    Enum(&'a mut dyn Choice<'de>),
}

/// A deserializer of the library; used once.
trait Source<'de> {
    fn ask(&mut self, ask: Ask, target: &mut dyn Target<'de>) -> Result<(), Fault>;
}

/// A visitor of ours; used once.
trait Target<'de> {
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn take(&mut self, given: Given<'_, 'de>) -> Result<(), Fault>;
}

/// A type of ours that waits for its deserializer; used once.
trait Seed<'de> {
    fn read(&mut self, source: &mut dyn Source<'de>) -> Result<(), Fault>;
}

/// A list of the library. Says whether there was another item.
trait Items<'de> {
    fn next(&mut self, seed: &mut dyn Seed<'de>) -> Result<bool, Fault>;
}

/// A map of the library. Says whether there was another key.
trait Pairs<'de> {
    fn next_key(&mut self, seed: &mut dyn Seed<'de>) -> Result<bool, Fault>;
    fn next_value(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Fault>;
}

/// A choice of the library: its name first, then what belongs to it.
trait Choice<'de> {
    fn name(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Fault>;
    fn unit(&mut self) -> Result<(), Fault>;
    fn newtype(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Fault>;
    fn tuple(&mut self, length: usize, target: &mut dyn Target<'de>) -> Result<(), Fault>;
    fn structure(&mut self, fields: &'static [&'static str], target: &mut dyn Target<'de>) -> Result<(), Fault>;
}
