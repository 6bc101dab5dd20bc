//! A serde deserializer over plain values that skips `null` fields and remembers where it was when reading failed.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde_json::{Map, Value};

use super::DecodeError;
use crate::{FieldPath, Segment};

/// An error on its way up: the path grows from the inside.
#[derive(Debug)]
pub(super) struct Failure {
    inner_to_outer: Vec<Segment>,
    message: String,
}

impl Failure {
    pub(super) fn located(self, at: &FieldPath) -> DecodeError {
        let tail: FieldPath = self.inner_to_outer.into_iter().rev().collect();
        DecodeError { field: at.join(&tail), message: self.message }
    }

    fn within(mut self, segment: impl FnOnce() -> Segment) -> Self {
        self.inner_to_outer.push(segment());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl serde::de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { inner_to_outer: Vec::new(), message: message.to_string() }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Reader<'de>(&'de Value);

impl<'de> Reader<'de> {
    pub(super) const fn new(value: &'de Value) -> Self {
        Self(value)
    }

    /// A whole number, also one written as text or as a float without a fraction.
    fn integer(self) -> Option<i128> {
        match self.0 {
            Value::Number(number) => {
                let whole = || number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() < 9e15);
                #[expect(clippy::cast_possible_truncation, reason = "whole and within 53 bits")]
                number.as_i128().or_else(|| whole().map(|it| it as i128))
            }
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn visit_integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let Some(number) = self.integer() else { return self.visit(visitor) };
        if let Ok(number) = i64::try_from(number) {
            visitor.visit_i64(number)
        } else if let Ok(number) = u64::try_from(number) {
            visitor.visit_u64(number)
        } else {
            Err(Failure::custom(format_args!("{number} is out of range")))
        }
    }

    fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_i64(number),
                (_, Some(number), _) => visitor.visit_u64(number),
                (_, _, number) => visitor.visit_f64(number.unwrap_or(f64::INFINITY)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter(), position: 0 }),
            Value::Object(fields) => visitor.visit_map(Fields::new(fields, false)),
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            self.visit_integer(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Failure;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.visit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match self.0 {
            Value::Object(fields) => visitor.visit_map(Fields::new(fields, true)),
            Value::Null => {
                visitor.visit_map(Fields { fields: None, current: None, skip_null: true })
            }
            Value::Array(_) => Err(Failure::custom("expected an object, found a list")),
            _ => self.visit(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match self.0 {
            Value::String(name) if names.contains(&name.as_str()) => visitor.visit_enum(Name(name)),
            other => Err(Failure::custom(format_args!(
                "Unsupported value: {other}: supported values: \"{}\"",
                names.join("\", \"")
            ))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        identifier ignored_any
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Value>,
    position: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let position = self.position;
        self.position += 1;
        let read = seed.deserialize(Reader(item));
        read.map(Some).map_err(|error| error.within(|| Segment::Index(position)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Fields<'de> {
    fields: Option<serde_json::map::Iter<'de>>,
    current: Option<(&'de str, &'de Value)>,
    skip_null: bool,
}

impl<'de> Fields<'de> {
    fn new(fields: &'de Map<String, Value>, skip_null: bool) -> Self {
        Self { fields: Some(fields.iter()), current: None, skip_null }
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failure> {
        let skip_null = self.skip_null;
        let fields = self.fields.as_mut();
        let next = fields.and_then(|it| it.find(|(_, value)| !(skip_null && value.is_null())));
        let Some((key, value)) = next else { return Ok(None) };
        self.current = Some((key, value));
        seed.deserialize(Key(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let Some((key, value)) = self.current.take() else {
            return Err(Failure::custom("a value was asked for before its key"));
        };
        seed.deserialize(Reader(value))
            .map_err(|error| error.within(|| Segment::Key(key.to_owned())))
    }
}

/// The key of a map, which may stand for a number (`portLevelMtls`).
struct Key<'de>(&'de str);

macro_rules! numeric_keys {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            match self.0.parse() {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Failure;

    numeric_keys! { deserialize_i32 deserialize_i64 deserialize_u16 deserialize_u32 deserialize_u64 }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i128 u8 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

struct Name<'de>(&'de str);

impl<'de> EnumAccess<'de> for Name<'de> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Failure> {
        let variant = seed.deserialize(IntoDeserializer::<Failure>::into_deserializer(self.0))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Name<'de> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Failure> {
        Err(Failure::custom("API enumerations carry no values"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Failure> {
        Err(Failure::custom("API enumerations carry no values"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Failure> {
        Err(Failure::custom("API enumerations carry no values"))
    }
}
