//! Schemas of arguments and results.

use std::sync::Arc;

use rmcp::model::JsonObject;
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Value, json};

/// Arguments with these properties and no others.
#[must_use]
pub fn input(properties: Value, required: &[&str]) -> Arc<JsonObject> {
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties);
    schema.insert("required".to_owned(), json!(required));
    schema.insert("additionalProperties".to_owned(), json!(false));
    Arc::new(schema)
}

/// What a tool gives: its result `T`, or the failure `F`. Some clients hold failures to the schema too.
#[must_use]
pub fn output<T: JsonSchema, F: JsonSchema>() -> Arc<JsonObject> {
    let plain = RecursiveTransform(without_number_format);
    let mut generator = SchemaSettings::draft2020_12().with_transform(plain).into_generator();
    let shapes = [generator.subschema_for::<T>(), generator.subschema_for::<F>()];
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("anyOf".to_owned(), json!(shapes));
    schema.insert("$defs".to_owned(), Value::Object(generator.take_definitions(true)));
    Arc::new(schema)
}

/// `uint64` and the like are Rust's words: validators of other languages do not know them.
fn without_number_format(schema: &mut Schema) {
    let numeric = matches!(
        schema.get("type").and_then(Value::as_str).or_else(|| schema.get("type")?.get(0)?.as_str()),
        Some("integer" | "number")
    );
    if numeric {
        schema.remove("format");
    }
}
