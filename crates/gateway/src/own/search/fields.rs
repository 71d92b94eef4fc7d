//! What a tool says of itself, part by part.

use std::collections::HashMap;

use json_rpc::{Members, Raw};
use serde_json::Value;

use super::words::words;

/// What a word counts in the name, the title, the first sentence of the description, the rest of it, and the parameters.
pub(super) const WEIGHTS: [f32; 5] = [4.0, 2.0, 2.0, 1.0, 0.7];

/// How deep a schema is read.
const DEPTH: usize = 6;

/// Most bytes that are read of a description or a schema's texts.
const MOST_BYTES: usize = 8 << 10;

/// The words of a tool, part by part.
pub(super) struct Fields {
    parts: [Vec<String>; WEIGHTS.len()],
    is_deprecated: bool,
}

impl Fields {
    pub(super) fn of(name: &str, tool: &Members) -> Self {
        let text = |member: &str| tool.get(member).and_then(|text| text.parse::<String>().ok());
        let mut title = text("title").unwrap_or_default();
        if title.is_empty()
            && let Some(annotations) = tool.get("annotations").and_then(|it| Members::of(it).ok())
        {
            title = annotations.get("title").and_then(|title| title.parse().ok()).unwrap_or_default();
        }
        let description = text("description").unwrap_or_default();
        let description = beginning(&description);
        let (first, rest) = sentence(description);
        let mut parameters = String::new();
        if let Some(schema) = tool.get("inputSchema").and_then(|schema| Raw::parse::<Value>(schema).ok()) {
            collect(&schema, DEPTH, &mut parameters);
        }
        let mut name = words(name);
        // `list files` finds `listfiles`, and the other way round.
        let together: Vec<String> = name.windows(2).map(|pair| pair.concat()).collect();
        name.extend(together);
        let said = [title.as_str(), description];
        Self {
            is_deprecated: said.iter().any(|text| text.to_ascii_lowercase().contains("deprecated")),
            parts: [name, words(&title), words(first), words(rest), words(&parameters)],
        }
    }

    /// How many words a part has.
    pub(super) fn length(&self, part: usize) -> usize {
        self.parts[part].len()
    }

    pub(super) fn is_deprecated(&self) -> bool {
        self.is_deprecated
    }

    /// Each word, and how often each part has it.
    pub(super) fn counts(&self) -> HashMap<&str, [usize; WEIGHTS.len()]> {
        let mut counts = HashMap::<&str, [usize; WEIGHTS.len()]>::new();
        for (part, words) in self.parts.iter().enumerate() {
            for word in words {
                counts.entry(word).or_default()[part] += 1;
            }
        }
        counts
    }
}

/// As much of a text as is read.
fn beginning(text: &str) -> &str {
    let mut end = text.len().min(MOST_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The first sentence, and what follows: most descriptions say at once what the tool does, and then what else there is to know.
fn sentence(text: &str) -> (&str, &str) {
    let ends =
        [". ", ".\n", "\n", "。"].iter().filter_map(|end| text.find(end).map(|place| place + end.len()));
    text.split_at(ends.min().unwrap_or(text.len()))
}

/// Names of parameters, what is said of them, and their choices.
fn collect(schema: &Value, depth: usize, texts: &mut String) {
    let Value::Object(schema) = schema else { return };
    if depth == 0 || texts.len() > MOST_BYTES {
        return;
    }
    let mut note = |text: &str| {
        texts.push_str(beginning(text));
        texts.push(' ');
    };
    if let Some(Value::String(description)) = schema.get("description") {
        note(description);
    }
    if let Some(Value::Array(choices)) = schema.get("enum") {
        choices.iter().filter_map(Value::as_str).for_each(&mut note);
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        for (name, property) in properties {
            texts.push_str(beginning(name));
            texts.push(' ');
            collect(property, depth - 1, texts);
        }
    }
    if let Some(items) = schema.get("items") {
        collect(items, depth - 1, texts);
    }
    for choices in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(choices)) = schema.get(choices) {
            choices.iter().for_each(|choice| collect(choice, depth - 1, texts));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_part_of_a_tool_is_read() {
        let tool = json!({
            "name": "ignored", "annotations": {"title": "Weather"},
            "description": "Tells the forecast. Deprecated: ask elsewhere.",
            "inputSchema": {"type": "object", "properties": {
                "city": {"type": "string", "description": "Where"},
                "days": {"type": "array", "items": {"enum": ["monday", "sunday"]}},
                "unit": {"anyOf": [{"type": "object", "properties": {"scale": {}}}, {"type": "null"}]},
            }},
        });
        let fields = Fields::of("sky__getForecast", &Members::of(&Raw::of(&tool).unwrap()).unwrap());
        let counts = fields.counts();
        assert!(fields.is_deprecated());
        assert_eq!(counts["forecast"], [1, 0, 1, 0, 0]);
        assert_eq!(counts["weather"], [0, 1, 0, 0, 0]);
        assert_eq!(counts["elsewher"], [0, 0, 0, 1, 0]);
        assert_eq!(counts["getforecast"][0], 2, "as it is written, and both words together");
        for parameter in ["city", "wher", "monday", "sunday", "scal"] {
            assert_eq!(counts.get(parameter), Some(&[0, 0, 0, 0, 1]), "{parameter}");
        }
    }

    #[test]
    fn a_schema_without_end_and_a_long_description_are_read_in_part() {
        let mut schema = json!({"description": "deepest"});
        for _ in 0..100 {
            schema = json!({"properties": {"a": schema}});
        }
        let tool = json!({"description": format!("{}last", "ä ".repeat(MOST_BYTES)), "inputSchema": schema});
        let fields = Fields::of("x", &Members::of(&Raw::of(&tool).unwrap()).unwrap());
        assert!(!fields.counts().contains_key("deepest") && !fields.counts().contains_key("last"));
    }
}
