//! `config explain`: what a key means, from the schema.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::document::Config;

/// What a key of the configuration means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The key that was asked for.
    pub path: String,
    /// What it means.
    pub doc: String,
    /// What is written there, e.g. `duration`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Whether it must be given wherever the mapping around it is.
    pub required: bool,
    /// What holds when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// A value that is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
    /// The words to choose from, each with its meaning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<(String, String)>,
    /// The keys below, each with its meaning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<(String, String)>,
}

impl Config {
    /// What the key `path` means, e.g. `sources.*.order.gap.after`. Any name does in place of `*`; the empty path is the
    /// whole file. `None` when there is no such key.
    pub fn explain(path: &str) -> Option<Explanation> {
        let schema = Self::schema();
        let book = Book { root: &schema };
        let mut here = Found {
            schema: &schema,
            required: false,
        };
        for step in path.split('.').filter(|step| !step.is_empty()) {
            let (key, indices) = step
                .split_once('[')
                .map_or((step, None), |(key, rest)| (key, Some(rest)));
            if !key.is_empty() {
                here = book.below(here.schema, key)?;
            }
            for _ in indices.into_iter().flat_map(|rest| rest.split('[')) {
                here = Found {
                    schema: book.find(here.schema, "items")?,
                    required: false,
                };
            }
        }
        Some(book.explain(path, &here))
    }
}

/// A schema and whether the mapping around it demands it.
struct Found<'a> {
    schema: &'a Value,
    required: bool,
}

/// Looks things up in the schema, through its references and alternatives.
struct Book<'a> {
    root: &'a Value,
}

impl<'a> Book<'a> {
    /// `schema`, what it refers to, and its alternatives, nearest first.
    fn layers(&self, schema: &'a Value) -> Vec<&'a Value> {
        let mut layers = vec![schema];
        if let Some(name) = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| path.strip_prefix('#'))
        {
            layers.extend(
                self.root
                    .pointer(name)
                    .into_iter()
                    .flat_map(|target| self.layers(target)),
            );
        }
        for kind in ["anyOf", "oneOf"] {
            let variants = schema
                .get(kind)
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            layers.extend(variants.flat_map(|variant| self.layers(variant)));
        }
        layers
    }

    fn find(&self, schema: &'a Value, keyword: &str) -> Option<&'a Value> {
        self.layers(schema)
            .into_iter()
            .find_map(|layer| layer.get(keyword))
    }

    fn below(&self, schema: &'a Value, key: &str) -> Option<Found<'a>> {
        let layers = self.layers(schema);
        for layer in &layers {
            if let Some(property) = layer
                .get("properties")
                .and_then(|properties| properties.get(key))
            {
                let required = layer.get("required").and_then(Value::as_array);
                let required = required.is_some_and(|names| names.iter().any(|name| name == key));
                // An alternative demands its own name only to be recognised.
                let alternative =
                    schema.get("oneOf").is_some() || self.find(schema, "oneOf").is_some();
                return Some(Found {
                    schema: property,
                    required: required && !alternative,
                });
            }
        }
        let any = layers.iter().find_map(|layer| {
            layer
                .get("additionalProperties")
                .filter(|any| any.is_object())
        })?;
        Some(Found {
            schema: any,
            required: false,
        })
    }

    fn explain(&self, path: &str, found: &Found<'a>) -> Explanation {
        let schema = found.schema;
        let default = self.find_own(schema, "default").cloned();
        let examples = self.find_own(schema, "examples").and_then(Value::as_array);
        Explanation {
            path: path.to_owned(),
            doc: self.doc(schema),
            type_name: self.type_name(schema),
            required: found.required,
            example: examples
                .and_then(|examples| examples.first())
                .or(default.as_ref())
                .cloned(),
            default,
            choices: self.choices(schema),
            keys: self.keys(schema),
        }
    }

    /// A keyword of the schema or what it refers to, not of one alternative among several.
    fn find_own(&self, schema: &'a Value, keyword: &str) -> Option<&'a Value> {
        schema.get(keyword).or_else(|| {
            let target = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
            self.find_own(self.root.pointer(target)?, keyword)
        })
    }

    fn doc(&self, schema: &'a Value) -> String {
        self.find(schema, "description")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .replace('\n', " ")
    }

    fn type_name(&self, schema: &'a Value) -> String {
        if let Some(format) = self.find_own(schema, "format").and_then(Value::as_str) {
            return match format.strip_prefix("cloakroom-") {
                Some(name) => name.replace('-', " "),
                None if format == "uri" => "URL".to_owned(),
                None => self.plain_type(schema),
            };
        }
        self.plain_type(schema)
    }

    fn plain_type(&self, schema: &'a Value) -> String {
        if let Some(values) = self.find_own(schema, "enum").and_then(Value::as_array) {
            return format!(
                "one of {}",
                values
                    .iter()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            );
        }
        if let Some(name) = self.find_own(schema, "type").and_then(Value::as_str) {
            return match name {
                "array" => self.find(schema, "items").map_or_else(
                    || "list".to_owned(),
                    |items| format!("list of {}", self.type_name(items)),
                ),
                "object" => "mapping".to_owned(),
                "integer" => "whole number".to_owned(),
                "boolean" => "true or false".to_owned(),
                "string" => "text".to_owned(),
                other => other.to_owned(),
            };
        }
        let choices: Vec<String> = self
            .choices(schema)
            .into_iter()
            .map(|(word, _)| word)
            .collect();
        if !choices.is_empty() {
            return format!("one of {}", choices.join(", "));
        }
        let variants = self.find_own(schema, "anyOf").and_then(Value::as_array);
        let mut types: Vec<String> = variants
            .into_iter()
            .flatten()
            .filter(|one| one["type"] != "null")
            .map(|one| self.variant_type(one))
            .collect();
        types.dedup();
        types.join(" or ")
    }

    fn variant_type(&self, schema: &'a Value) -> String {
        match schema.get("const") {
            Some(word) => word.as_str().unwrap_or_default().to_owned(),
            None => self.type_name(schema),
        }
    }

    fn choices(&self, schema: &'a Value) -> Vec<(String, String)> {
        let Some(variants) = self.find_own(schema, "oneOf").and_then(Value::as_array) else {
            return Vec::new();
        };
        variants
            .iter()
            .filter_map(|variant| {
                let named = variant
                    .get("properties")
                    .and_then(Value::as_object)
                    .and_then(|keys| keys.keys().next());
                let word = variant
                    .get("const")
                    .and_then(Value::as_str)
                    .or(named.map(String::as_str))?;
                Some((word.to_owned(), self.doc(variant)))
            })
            .collect()
    }

    fn keys(&self, schema: &'a Value) -> Vec<(String, String)> {
        if self.find_own(schema, "oneOf").is_some() {
            return Vec::new();
        }
        let properties = self.find(schema, "properties").and_then(Value::as_object);
        let describe = |(name, property): (&String, &'a Value)| (name.clone(), self.doc(property));
        properties
            .into_iter()
            .flat_map(Map::iter)
            .map(describe)
            .collect()
    }
}

/// The form that `config explain` prints.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "cloakroom.yaml"
        } else {
            &self.path
        };
        writeln!(
            f,
            "{path}: {}{}",
            self.type_name,
            if self.required { ", required" } else { "" }
        )?;
        if !self.doc.is_empty() {
            writeln!(f, "  {}", self.doc)?;
        }
        if let Some(default) = &self.default {
            writeln!(f, "  default: {}", flat(default))?;
        }
        if let Some(example) = self
            .example
            .as_ref()
            .filter(|example| self.default.as_ref() != Some(example))
        {
            writeln!(f, "  example: {}", flat(example))?;
        }
        for (title, list) in [("choices", &self.choices), ("keys", &self.keys)] {
            if list.is_empty() {
                continue;
            }
            writeln!(f, "  {title}:")?;
            let width = list.iter().map(|(word, _)| word.len()).max().unwrap_or(0);
            for (word, doc) in list {
                writeln!(f, "    {word:width$}  {doc}")?;
            }
        }
        Ok(())
    }
}

fn flat(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
