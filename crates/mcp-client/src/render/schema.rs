//! A schema in a few words: `string`, `integer[]`, `"a" | "b"`.

use rmcp::model::{JsonObject, Tool};
use serde_json::Value;

/// Deepest nesting that is put into words.
const MAX_DEPTH: usize = 4;
/// Most alternatives that are named.
const MAX_CHOICES: usize = 6;

/// One argument of a tool.
pub(crate) struct Argument<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: String,
    pub(crate) required: bool,
    pub(crate) default: Option<&'a Value>,
    pub(crate) description: Option<&'a str>,
}

/// The arguments of a tool: first those that it requires, in the schema's order.
pub(crate) fn arguments<'a>(tool: &'a Tool) -> Vec<Argument<'a>> {
    let schema: &JsonObject = &tool.input_schema;
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let argument = |(name, property): (&'a String, &'a Value)| Argument {
        name,
        kind: kind(property, schema),
        required: required.contains(&name.as_str()),
        default: property.get("default"),
        description: property.get("description").and_then(Value::as_str),
    };
    let mut all: Vec<_> = properties.map(argument).collect();
    let place = |name: &str| required.iter().position(|known| *known == name).unwrap_or(usize::MAX);
    all.sort_by_key(|argument| place(argument.name));
    all
}

/// What values a schema allows, in a few words. `root` is where its references lead.
pub(crate) fn kind(schema: &Value, root: &JsonObject) -> String {
    words(schema, root, 0)
}

fn words(schema: &Value, root: &JsonObject, depth: usize) -> String {
    let Some(object) = schema.as_object().filter(|_| depth < MAX_DEPTH) else { return "any".to_owned() };
    if let Some(target) = object.get("$ref").and_then(Value::as_str).and_then(|path| referred(path, root)) {
        return words(target, root, depth + 1);
    }
    if let Some(value) = object.get("const") {
        return value.to_string();
    }
    if let Some(values) = object.get("enum").and_then(Value::as_array) {
        return choices(values.iter().map(Value::to_string));
    }
    for name in ["anyOf", "oneOf"] {
        if let Some(schemas) = object.get(name).and_then(Value::as_array) {
            return choices(schemas.iter().map(|schema| words(schema, root, depth + 1)));
        }
    }
    match object.get("type") {
        Some(Value::String(kind)) => one(kind, object, root, depth),
        Some(Value::Array(kinds)) => {
            choices(kinds.iter().filter_map(Value::as_str).map(|kind| one(kind, object, root, depth)))
        }
        _ if object.contains_key("properties") => "object".to_owned(),
        _ => "any".to_owned(),
    }
}

fn one(kind: &str, object: &JsonObject, root: &JsonObject, depth: usize) -> String {
    match (kind, object.get("items")) {
        ("array", Some(items)) => format!("{}[]", words(items, root, depth + 1)),
        _ => kind.to_owned(),
    }
}

fn choices(all: impl Iterator<Item = String>) -> String {
    let mut named: Vec<_> = all.take(MAX_CHOICES + 1).collect();
    if named.len() > MAX_CHOICES {
        named[MAX_CHOICES] = "…".to_owned();
    }
    named.join(" | ")
}

/// Only inside the schema itself: nothing is ever fetched.
fn referred<'a>(path: &str, root: &'a JsonObject) -> Option<&'a Value> {
    let (first, rest) = path.strip_prefix("#/")?.split_once('/')?;
    root.get(first)?.pointer(&format!("/{rest}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_are_put_into_a_few_words() {
        let root = json!({"$defs": {"color": {"enum": ["red", "blue"]}, "loop": {"$ref": "#/$defs/loop"}}});
        let root = root.as_object().unwrap();
        for (schema, expected) in [
            (json!({"type": "string"}), "string"),
            (json!({"type": "array", "items": {"type": "integer"}}), "integer[]"),
            (json!({"$ref": "#/$defs/color"}), "\"red\" | \"blue\""),
            (json!({"$ref": "#/$defs/loop"}), "any"),
            (json!({"$ref": "https://example.com/x.json"}), "any"),
            (json!({"anyOf": [{"type": "number"}, {"type": "null"}]}), "number | null"),
            (json!({"type": ["string", "null"]}), "string | null"),
            (json!({"enum": [1, 2, 3, 4, 5, 6, 7]}), "1 | 2 | 3 | 4 | 5 | 6 | …"),
            (json!(true), "any"),
        ] {
            assert_eq!(kind(&schema, root), expected, "{schema}");
        }
    }
}
