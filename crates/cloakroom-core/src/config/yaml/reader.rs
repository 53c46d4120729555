//! From the tree to typed values: a serde deserializer whose errors know their path and their remedy.

use std::fmt::Display;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::tree::{Node, Value};
use super::{entry, join};
use crate::config::diagnostic::{Mistake, did_you_mean, echo};

const NOTHING_HINT: &str = "write a value, or remove the key for its default";

/// Why a value could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct ReadError {
    /// Where, from the value that was asked for. Empty for that value itself.
    pub(in crate::config) path: String,
    /// Whether the problem is with a key, not with what stands behind it.
    pub(in crate::config) on_key: bool,
    pub(in crate::config) message: String,
    pub(in crate::config) hint: Option<String>,
    /// A key that must be added below `path`.
    pub(in crate::config) missing: Option<&'static str>,
}

impl ReadError {
    fn new(message: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            path: String::new(),
            on_key: false,
            message: message.into(),
            hint,
            missing: None,
        }
    }

    fn under_key(mut self, key: &str) -> Self {
        self.path = join(key, &self.path);
        self
    }

    fn under_index(mut self, index: usize) -> Self {
        self.path = join(&entry("", index), &self.path);
        self
    }

    fn wrong_type(expected: &str, found: &Value) -> Self {
        let hint = match (expected, found) {
            (_, Value::Null) => Some(NOTHING_HINT.to_owned()),
            ("a list", _) => Some("write it in brackets: `[…]`".to_owned()),
            ("text", Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) | Value::Bool(_)) => {
                Some("put it in quotes".to_owned())
            }
            ("true or false", _) => Some("write true or false, without quotes".to_owned()),
            ("a mapping", _) => Some(
                "write keys and values: `{ key: value }`, or indented on the lines below"
                    .to_owned(),
            ),
            _ => Some(format!("write {expected}")),
        };
        Self::new(
            format!("expected {expected}, found {}", found.describe()),
            hint,
        )
    }
}

impl Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: Display>(text: T) -> Self {
        let (about, message, hint) = Mistake::take_apart(&text.to_string());
        let error = Self::new(message, hint);
        match about {
            Some(key) => Self {
                on_key: true,
                ..error.under_key(&key)
            },
            None => error,
        }
    }

    /// Leaves out what was found: it may be a secret.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Str(_) | Unexpected::Char(_) => "text",
            Unexpected::Unit | Unexpected::Option => "nothing",
            Unexpected::Seq => "a list",
            Unexpected::Map => "a mapping",
            _ => "something else",
        };
        let hint = match found {
            "nothing" => NOTHING_HINT.to_owned(),
            // `env: NAME` with a space is a mapping.
            "a mapping" => format!("write {expected}, without a space after a colon, or in quotes"),
            _ => format!("write {expected}"),
        };
        Self::new(format!("expected {expected}, found {found}"), Some(hint))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(
            format!("expected {expected}"),
            Some(format!("write {expected}")),
        )
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        let hint = did_you_mean(field, known, "keys");
        Self {
            path: field.to_owned(),
            on_key: true,
            ..Self::new("unknown key", Some(hint))
        }
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::new(
            format!("{} is not known here", echo(variant)),
            Some(did_you_mean(variant, known, "values")),
        )
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            on_key: true,
            missing: Some(field),
            ..Self::new(format!("`{field}` is missing"), None)
        }
    }
}

/// Reads a value of the tree. A mapping may be left empty where `empty` says so.
#[derive(Clone, Copy)]
pub(in crate::config) struct Reader<'a> {
    node: &'a Node,
    empty: bool,
}

impl<'a> Reader<'a> {
    /// Reads `node`.
    pub(in crate::config) fn new(node: &'a Node) -> Self {
        Self { node, empty: false }
    }

    /// Reads `node`, and takes nothing at all for a mapping without keys.
    pub(in crate::config) fn or_empty(node: &'a Node) -> Self {
        Self { node, empty: true }
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError>
    where
        'a: 'de,
    {
        match &self.node.value {
            Value::Map(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                value: None,
            }),
            Value::Null if self.empty => visitor.visit_map(Entries {
                entries: [].iter(),
                value: None,
            }),
            other => Err(ReadError::wrong_type("a mapping", other)),
        }
    }

    fn number<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        least: i64,
        most: u64,
    ) -> Result<V::Value, ReadError> {
        let range = || {
            let most = if most == u64::MAX {
                "up".to_owned()
            } else {
                format!("to {most}")
            };
            ReadError::new(
                format!("expected a whole number from {least} {most}"),
                Some("write a number in this range".to_owned()),
            )
        };
        match self.node.value {
            Value::Unsigned(number) if number <= most => visitor.visit_u64(number),
            Value::Signed(number) if number >= least => visitor.visit_i64(number),
            Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => Err(range()),
            ref other => Err(ReadError::wrong_type("a whole number", other)),
        }
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            self.number(visitor, i64::try_from(<$type>::MIN).unwrap_or(0), u64::try_from(<$type>::MAX).unwrap_or(u64::MAX))
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Unsigned(number) => visitor.visit_u64(*number),
            Value::Signed(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
            }),
            Value::Map(_) => self.map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Bool(truth) => visitor.visit_bool(*truth),
            other => Err(ReadError::wrong_type("true or false", other)),
        }
    }

    numbers!(deserialize_u8: u8, deserialize_u16: u16, deserialize_u32: u32, deserialize_u64: u64, deserialize_i64: i64);

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_str(text),
            other => Err(ReadError::wrong_type("text", other)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            null @ Value::Null => Err(ReadError::wrong_type("a value", null)),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
            }),
            other => Err(ReadError::wrong_type("a list", other)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Text(name) => visitor.visit_enum(Variant { name, value: None }),
            Value::Map(entries) => match entries.as_slice() {
                [(name, value)] => visitor.visit_enum(Variant {
                    name: name.key(),
                    value: Some(value),
                }),
                _ => Err(ReadError::new(
                    format!(
                        "expected exactly one of {}, found {} keys",
                        known.join(", "),
                        entries.len()
                    ),
                    Some("keep one of them".to_owned()),
                )),
            },
            other => Err(ReadError::wrong_type(
                &format!("one of {}", known.join(", ")),
                other,
            )),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        seed.deserialize(Reader::new(node))
            .map(Some)
            .map_err(|error| error.under_index(index))
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Node, Node)>,
    value: Option<&'a (Node, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else {
            return Ok(None);
        };
        let reader: StrDeserializer<'_, ReadError> = key.key().into_deserializer();
        seed.deserialize(reader).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let (key, value) = self
            .value
            .take()
            .expect("serde asks for a value after its key");
        seed.deserialize(Reader::new(value))
            .map_err(|error| error.under_key(key.key()))
    }
}

/// One alternative: its name alone, or its name with what belongs to it.
struct Variant<'a> {
    name: &'a str,
    value: Option<&'a Node>,
}

/// Stands for what is not written when an alternative is named alone, as in `ack: delivered`.
static NOTHING: Node = Node {
    at: super::tree::Place { line: 0, column: 0 },
    value: Value::Null,
};

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        let name: StrDeserializer<'_, ReadError> = self.name.into_deserializer();
        let variant = seed.deserialize(name).map_err(|error| match self.value {
            Some(_) => ReadError {
                on_key: true,
                ..error.under_key(self.name)
            },
            None => error,
        })?;
        Ok((variant, self))
    }
}

impl<'de> Variant<'de> {
    fn reader(&self) -> Reader<'de> {
        Reader::or_empty(self.value.unwrap_or(&NOTHING))
    }

    fn place(&self, error: ReadError) -> ReadError {
        if self.value.is_some() {
            error.under_key(self.name)
        } else {
            error
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self.value {
            None => Ok(()),
            Some(_) => Err(ReadError::new(
                "this takes no settings",
                Some(format!("write `{}` alone", self.name)),
            )
            .under_key(self.name)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        seed.deserialize(self.reader())
            .map_err(|error| self.place(error))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        self.reader()
            .deserialize_seq(visitor)
            .map_err(|error| self.place(error))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.reader()
            .map(visitor)
            .map_err(|error| self.place(error))
    }
}
