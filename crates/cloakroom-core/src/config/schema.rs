//! The JSON Schema of the configuration, from its types.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::document::Config;

impl Config {
    /// The JSON Schema (draft 2020-12) of `cloakroom.yaml`.
    pub fn schema() -> Value {
        let generator = SchemaSettings::draft2020_12().into_generator();
        let mut schema = generator.into_root_schema_for::<Self>().to_value();
        without_null(&mut schema);
        schema["title"] = json!("cloakroom.yaml");
        for section in ["sources", "subscriptions"] {
            let section = &mut schema["properties"][section];
            section["propertyNames"] = json!({ "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$" });
        }
        // `demo:` with nothing behind it is a source with every default.
        let source = schema["properties"]["sources"]["additionalProperties"].take();
        schema["properties"]["sources"]["additionalProperties"] =
            json!({ "anyOf": [source, { "type": "null" }] });
        schema
    }
}

/// A key that has no value is left out, never written as null: takes null out of every type and default.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            without_null_type(object);
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

fn without_null_type(object: &mut Map<String, Value>) {
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            object.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(variants)) = object.get_mut("anyOf") else {
        return;
    };
    variants.retain(|variant| variant.get("type") != Some(&json!("null")));
    if let [Value::Object(only)] = variants.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

/// Adds the alternatives that may be named alone, as in `ack: delivered`, to the schema of an enum.
pub(super) fn bare(schema: &mut Schema, names: &[&str]) {
    if let Some(Value::Array(variants)) = schema.get_mut("oneOf") {
        variants.push(
            json!({ "description": "Alone, with its defaults.", "type": "string", "enum": names }),
        );
    }
}
