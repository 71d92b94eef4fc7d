//! What people write as a tool's arguments becomes what its schema wants.
//!
//! Three forms are understood: a JSON object (`{"a": 1}`), pairs (`a=1 b="two words" list=[1,2] nested.key=3 text=@file`), and
//! plain text for a tool with one argument to fill.

mod check;
mod nearest;
mod pairs;
mod schema;
#[cfg(test)]
mod tests;
mod value;
mod words;

use rmcp::model::{JsonObject, Tool};
use serde_json::Value;

pub(crate) use nearest::nearest;
pub(crate) use schema::{Kind, Schema, shown};
pub(crate) use words::{Nesting, Word, split_first, unquoted, words};

use pairs::Pair;

/// Why arguments cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentsError {
    /// It starts as JSON, but is none.
    #[error("the arguments are not JSON: {reason} at {place}\n{}usage: {usage}", marked(.marker))]
    Json {
        /// What is wrong.
        reason: String,
        /// `column 5`, or with the line when there are several.
        place: String,
        /// The text and a mark below the place, when that fits.
        marker: Option<String>,
        /// What the tool wants.
        usage: String,
    },
    /// One argument does not fit.
    #[error("`{name}` {problem}\nusage: {usage}")]
    Argument {
        /// The argument.
        name: String,
        /// What is wrong with it.
        problem: String,
        /// What the tool wants.
        usage: String,
    },
    /// Neither JSON nor pairs, and the tool does not want one plain text.
    #[error("write the arguments as NAME=VALUE or as a JSON object\nusage: {usage}")]
    Form {
        /// What the tool wants.
        usage: String,
    },
}

impl ArgumentsError {
    fn argument(tool: &Tool, name: &str, problem: String) -> Self {
        Self::Argument { name: name.to_owned(), problem, usage: usage(tool) }
    }
}

fn marked(marker: &Option<String>) -> String {
    marker.as_ref().map(|text| format!("{text}\n")).unwrap_or_default()
}

/// Arguments as they were written: JSON (`{"a": 1}`), pairs (`a=1 b="two words"`), or plain text for a tool with one string.
///
/// # Errors
/// What is wrong with them, and what the tool wants instead.
pub(crate) fn parse(tool: &Tool, text: &str) -> Result<JsonObject, ArgumentsError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(JsonObject::new());
    }
    if text.starts_with('{') {
        return json(tool, text);
    }
    let words = words(text);
    let pairs: Vec<Option<Pair>> = words.iter().map(Pair::written).collect();
    from_pairs_or_text(tool, pairs, || match words.as_slice() {
        [only] => only.text(),
        _ => text.to_owned(),
    })
}

/// Arguments that a shell has split into words already, and whose quotes are gone.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_words(tool: &Tool, words: &[String]) -> Result<JsonObject, ArgumentsError> {
    let Some(first) = words.first() else { return Ok(JsonObject::new()) };
    if first.trim_start().starts_with('{') {
        return json(tool, words.join(" ").trim());
    }
    let pairs = words.iter().map(|word| Pair::plain(word)).collect();
    from_pairs_or_text(tool, pairs, || words.join(" "))
}

/// What is still missing: required properties, in the schema's order.
pub(crate) fn missing(tool: &Tool, arguments: &JsonObject) -> Vec<String> {
    Schema::of(tool).required().into_iter().filter(|name| !arguments.contains_key(name)).collect()
}

/// One argument, from the text that was written for it alone.
///
/// # Errors
/// What it must be, as the rest of a sentence about it.
pub(crate) fn typed(schema: Schema<'_>, text: &str) -> Result<Value, String> {
    let quoted = words::is_quoted(text) && schema.kinds() != [Kind::String];
    let value = value::typed(schema, &if quoted { words::unquoted(text) } else { text.to_owned() }, quoted)?;
    match check::problems(schema, &value).into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(value),
    }
}

/// What the schema does not allow about these arguments. The server decides, so this is a warning.
pub(crate) fn warnings(tool: &Tool, arguments: &JsonObject) -> Vec<String> {
    check::problems(Schema::of(tool), &Value::Object(arguments.clone()))
}

/// Whether one of the arguments is to be kept nowhere, as the schema says (`writeOnly`, `format: password`).
pub(crate) fn holds_secret(tool: &Tool, arguments: &JsonObject) -> bool {
    secret_in(Schema::of(tool), arguments, schema::MAX_DEPTH)
}

/// Whether a tool has an argument that is to be kept nowhere.
pub(crate) fn has_secret(tool: &Tool) -> bool {
    let schema = Schema::of(tool);
    schema.names().iter().any(|name| schema.property(name).is_some_and(Schema::is_secret))
}

fn secret_in(schema: Schema<'_>, object: &JsonObject, depth: usize) -> bool {
    object.iter().any(|(name, value)| {
        let Some(property) = schema.property(name) else { return false };
        let inner = value.as_object().filter(|_| depth > 0);
        property.is_secret() || inner.is_some_and(|inner| secret_in(property, inner, depth - 1))
    })
}

/// One line that says what a tool wants: `math_calc expression=STRING [precision=INTEGER]`.
pub(crate) fn usage(tool: &Tool) -> String {
    let schema = Schema::of(tool);
    let required = schema.required();
    let mut line = tool.name.to_string();
    for name in schema.names() {
        let placeholder = schema.property(&name).map_or_else(|| "JSON".to_owned(), Schema::placeholder);
        let pair = format!("{name}={placeholder}");
        line += &if required.contains(&name) { format!(" {pair}") } else { format!(" [{pair}]") };
    }
    line
}

fn json(tool: &Tool, text: &str) -> Result<JsonObject, ArgumentsError> {
    serde_json::from_str(text).map_err(|error| {
        let one_line = !text.contains('\n');
        let place = match one_line {
            true => format!("column {}", error.column()),
            false => format!("line {}, column {}", error.line(), error.column()),
        };
        // serde counts bytes.
        let before = text.get(..error.column().saturating_sub(1)).map(|start| start.chars().count());
        let marker = before.filter(|_| one_line && text.len() <= 70);
        ArgumentsError::Json {
            reason: value::reason(&error),
            place,
            marker: marker.map(|before| format!("  {text}\n  {:before$}^", "")),
            usage: usage(tool),
        }
    })
}

fn from_pairs_or_text(
    tool: &Tool,
    pairs: Vec<Option<Pair>>,
    text: impl FnOnce() -> String,
) -> Result<JsonObject, ArgumentsError> {
    let schema = Schema::of(tool);
    let plain = plain_argument(schema);
    let first = pairs.first().and_then(Option::as_ref);
    let are_pairs =
        first.is_some_and(|first| first.is_known(schema) || plain.is_none() || first.may_be(schema));
    if are_pairs {
        let count = pairs.len();
        let pairs: Vec<Pair> = pairs.into_iter().flatten().collect();
        if pairs.len() < count {
            return Err(ArgumentsError::Form { usage: usage(tool) });
        }
        return pairs::arguments(tool, &pairs);
    }
    let Some(name) = plain else { return Err(ArgumentsError::Form { usage: usage(tool) }) };
    let property = schema.property(&name).unwrap_or(schema);
    let value = value::typed(property, &text(), false);
    let value = value.map_err(|problem| ArgumentsError::argument(tool, &name, problem))?;
    Ok(JsonObject::from_iter([(name, value)]))
}

/// The argument that plain text fills: the only one that is required, or the only one that there is, if it is a plain value.
fn plain_argument(schema: Schema<'_>) -> Option<String> {
    let is_plain = |name: &String| {
        let kinds = schema.property(name).map(Schema::kinds).unwrap_or_default();
        !kinds.is_empty() && !kinds.iter().any(|kind| matches!(kind, Kind::Array | Kind::Object))
    };
    let (required, names) = (schema.required(), schema.names());
    let only = match (required.as_slice(), names.as_slice()) {
        ([only], _) | ([], [only]) => only,
        _ => return None,
    };
    Some(only.clone()).filter(is_plain)
}
