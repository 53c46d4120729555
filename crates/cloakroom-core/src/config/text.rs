//! Values that are written as text: one way to read, write and describe them all.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};

use super::diagnostic::Mistake;

/// What the schema says about a text value.
pub(super) struct TextSchema {
    /// The type's name, e.g. `duration`.
    pub(super) format: &'static str,
    /// A regular expression in the dialect of JSON Schema.
    pub(super) pattern: &'static str,
    /// Values that are right.
    pub(super) examples: &'static [&'static str],
}

impl TextSchema {
    pub(super) fn json_schema(&self) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": self.format,
            "pattern": self.pattern,
            "examples": self.examples,
        })
    }
}

/// Reads any scalar as text and parses it, so that `5` for a duration is told apart from a wrong type.
pub(super) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = Mistake>,
{
    deserializer.deserialize_any(TextVisitor(PhantomData))
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err = Mistake>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<T, E> {
        self.visit_str(&truth.to_string())
    }
}

/// Implements serde and the schema for a type that has `FromStr<Err = Mistake>` and `Display`.
macro_rules! text_value {
    ($type:ident, $schema:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::config::text::deserialize(deserializer)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema.json_schema()
            }
        }
    };
}

pub(super) use text_value;
