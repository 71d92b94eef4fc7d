//! What a tool says of itself that matters on the way to it.

use json_rpc::{Members, Raw};
use mcp_transport::Mirrored;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Hints;

/// Marks an argument that HTTP headers of the newer era repeat (SEP-2243).
const HEADER: &str = "x-mcp-header";

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Annotations {
    read_only_hint: bool,
    idempotent_hint: bool,
    destructive_hint: Option<bool>,
    open_world_hint: Option<bool>,
}

/// What a tool's annotations say. What cannot be read says nothing.
pub(super) fn hints(tool: &Members) -> Hints {
    let annotations: Annotations =
        tool.get("annotations").and_then(|annotations| annotations.parse().ok()).unwrap_or_default();
    Hints {
        read_only: annotations.read_only_hint,
        idempotent: annotations.idempotent_hint,
        additive: annotations.destructive_hint == Some(false),
        closed_world: annotations.open_world_hint == Some(false),
    }
}

/// The arguments that headers repeat.
///
/// # Errors
/// Why they cannot be repeated: clients over HTTP must not use a tool that breaks the rules.
pub(super) fn mirrored(tool: &Members) -> Result<Vec<Mirrored>, String> {
    let Some(schema) = tool.get("inputSchema").filter(|schema| schema.as_str().contains(HEADER)) else {
        return Ok(Vec::new());
    };
    let schema: Map<String, Value> = Raw::parse(schema).map_err(|_| "inputSchema is no object".to_owned())?;
    if schema.contains_key(HEADER) {
        return Err(format!("{HEADER} marks the whole of the arguments"));
    }
    let mut found = Vec::new();
    collect(&schema, &mut Vec::new(), &mut found)?;
    Ok(found)
}

/// The tool with other URIs of what shows it (MCP Apps): `public` knows those that must be replaced. `None` when it stays.
pub(super) fn pointing(tool: &Raw, public: impl Fn(&str) -> Option<String>) -> Option<Raw> {
    if !tool.as_str().contains("esourceUri\"") {
        return None;
    }
    let mut tool = Members::of(tool).ok()?;
    let mut meta = Members::of(tool.get("_meta")?).ok()?;
    let replaced = |members: &Members, name: &str| public(&members.get(name)?.parse::<String>().ok()?);
    let old = replaced(&meta, "ui/resourceUri");
    let ui = meta.get("ui").and_then(|ui| Members::of(ui).ok()).and_then(|mut ui| {
        let uri = replaced(&ui, "resourceUri")?;
        ui.set("resourceUri", Raw::text(&uri));
        Some(ui)
    });
    if old.is_none() && ui.is_none() {
        return None;
    }
    if let Some(uri) = old {
        meta.set("ui/resourceUri", Raw::text(&uri));
    }
    if let Some(ui) = ui {
        meta.set("ui", ui);
    }
    tool.set("_meta", meta);
    Some(tool.to_raw())
}

/// Goes through a schema that is reached by `properties` alone.
fn collect(
    schema: &Map<String, Value>,
    path: &mut Vec<String>,
    found: &mut Vec<Mirrored>,
) -> Result<(), String> {
    for (keyword, value) in schema {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    path.push(name.clone());
                    if let Value::Object(property) = property {
                        if let Some(header) = property.get(HEADER) {
                            found.push(annotation(header, property, path, found)?);
                        }
                        collect(property, path, found)?;
                    }
                    path.pop();
                }
            }
            // Data, not schemas.
            ("default" | "const" | "enum" | "examples" | HEADER, _) => {}
            (_, other) if holds_header(other) => {
                return Err(format!("{HEADER} marks something that is not always in the same place"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn annotation(
    header: &Value,
    property: &Map<String, Value>,
    path: &[String],
    found: &[Mirrored],
) -> Result<Mirrored, String> {
    let place = path.join(".");
    let Some(header) = header.as_str().filter(|header| is_token(header)) else {
        return Err(format!("{HEADER} of {place:?} is no name of a header"));
    };
    if !matches!(property.get("type").and_then(Value::as_str), Some("string" | "integer" | "boolean")) {
        return Err(format!("{HEADER} marks {place:?}, which is no string, integer or boolean"));
    }
    if found.iter().any(|other| other.header.eq_ignore_ascii_case(header)) {
        return Err(format!("{HEADER} has {header:?} twice"));
    }
    Ok(Mirrored { header: header.to_owned(), path: path.to_vec() })
}

/// Whether any object in here is marked.
fn holds_header(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.contains_key(HEADER) || object.values().any(holds_header),
        Value::Array(items) => items.iter().any(holds_header),
        _ => false,
    }
}

/// Whether it can be a header's name (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(tool: &Value) -> Members {
        Members::of(&Raw::of(tool).unwrap()).unwrap()
    }

    fn properties(properties: &Value) -> Members {
        tool(&json!({ "inputSchema": { "type": "object", "properties": properties } }))
    }

    #[test]
    fn hints_are_false_unless_they_are_given() {
        let given = json!({ "annotations": { "readOnlyHint": true, "idempotentHint": true, "title": "T" } });
        let wrong = json!({ "annotations": { "readOnlyHint": "true" } });

        let narrow = json!({ "annotations": { "destructiveHint": false, "openWorldHint": false } });
        let wide = json!({ "annotations": { "destructiveHint": true, "openWorldHint": true } });

        let silent = Hints::default();
        assert_eq!(hints(&tool(&given)), Hints { read_only: true, idempotent: true, ..silent });
        assert_eq!(hints(&tool(&narrow)), Hints { additive: true, closed_world: true, ..silent });
        assert_eq!(hints(&tool(&wide)), silent);
        assert_eq!(hints(&tool(&wrong)), Hints::default());
        assert_eq!(hints(&tool(&json!({}))), Hints::default());
    }

    #[test]
    fn marked_arguments_are_found_however_deep_they_are() {
        let tool = properties(&json!({
            "region": { "type": "string", "x-mcp-header": "Region" },
            "where": { "type": "object", "properties": { "zone": { "type": "integer", "x-mcp-header": "Zone" } } },
            "query": { "type": "string", "default": { "x-mcp-header": "no mark, only data" } },
        }));

        let mut found = mirrored(&tool).unwrap();
        found.sort_by(|a, b| a.header.cmp(&b.header));

        let mark = |header: &str, path: &[&str]| Mirrored {
            header: header.to_owned(),
            path: path.iter().map(|&name| name.to_owned()).collect(),
        };
        assert_eq!(found, [mark("Region", &["region"]), mark("Zone", &["where", "zone"])]);
    }

    #[test]
    fn marks_that_break_the_rules_are_refused() {
        let marked = |kind: &str, header: Value| json!({ "type": kind, "x-mcp-header": header });
        for (why, broken) in [
            ("no token", json!({ "a": marked("string", json!("a b")) })),
            ("line break", json!({ "a": marked("string", json!("a\r\nb: c")) })),
            ("empty", json!({ "a": marked("string", json!("")) })),
            ("no text", json!({ "a": marked("string", json!(1)) })),
            ("number", json!({ "a": marked("number", json!("A")) })),
            ("twice", json!({ "a": marked("string", json!("A")), "b": marked("string", json!("a")) })),
            ("in a list", json!({ "a": { "type": "array", "items": marked("string", json!("A")) } })),
            ("in a choice", json!({ "a": { "oneOf": [marked("string", json!("A"))] } })),
        ] {
            assert!(mirrored(&properties(&broken)).is_err(), "{why}");
        }
        assert!(mirrored(&tool(&json!({ "inputSchema": { "x-mcp-header": "A" } }))).is_err(), "the root");
    }
}
