//! `key=value` pairs: each goes where its key says, with the type that the schema gives that place.

use std::{fs::File, io::Read as _, path::Path};

use rmcp::model::{JsonObject, Tool};
use serde_json::Value;

use super::{
    ArgumentsError, check, nearest,
    schema::{Kind, Schema},
    value,
    words::{Word, is_quoted, unquoted},
};

/// Largest file that an argument may be read from.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// One pair as it was written.
pub(super) struct Pair {
    key: String,
    text: String,
    quoted: bool,
}

impl Pair {
    /// From a word that is still quoted; `None` when it is none.
    pub(super) fn written(word: &Word) -> Option<Self> {
        let (key, text) = split(&word.raw)?;
        Some(Self { key: key.to_owned(), quoted: is_quoted(text), text: unquoted(text) })
    }

    /// From a word whose quotes are gone already.
    pub(super) fn plain(word: &str) -> Option<Self> {
        let (key, text) = split(word)?;
        Some(Self { key: key.to_owned(), quoted: false, text: text.to_owned() })
    }

    /// The name of the argument that it sets, or a part of.
    fn head(&self) -> &str {
        self.key.split_once('.').map_or(&self.key, |(head, _)| head)
    }

    /// Whether the schema has such an argument.
    pub(super) fn is_known(&self, schema: Schema<'_>) -> bool {
        schema.property(&self.key).is_some() || schema.property(self.head()).is_some()
    }

    /// Whether it may be meant as an argument although the schema does not name it.
    pub(super) fn may_be(&self, schema: Schema<'_>) -> bool {
        let names = schema.names();
        names.is_empty() || nearest(&self.key, names.iter().map(String::as_str)).is_some()
    }
}

fn split(word: &str) -> Option<(&str, &str)> {
    let (key, text) = word.split_once('=')?;
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    (!key.is_empty() && key.chars().all(is_name)).then_some((key, text))
}

/// The arguments that these pairs make.
pub(super) fn arguments(tool: &Tool, pairs: &[Pair]) -> Result<JsonObject, ArgumentsError> {
    let mut arguments = JsonObject::new();
    for pair in pairs {
        set(tool, &mut arguments, pair)?;
    }
    Ok(arguments)
}

fn set(tool: &Tool, arguments: &mut JsonObject, pair: &Pair) -> Result<(), ArgumentsError> {
    let schema = Schema::of(tool);
    let error = |problem: String| ArgumentsError::argument(tool, &pair.key, problem);
    let path: Vec<&str> = match schema.property(&pair.key) {
        Some(_) => vec![&pair.key],
        None => pair.key.split('.').collect(),
    };
    let (place, parents) = path.split_last().ok_or_else(|| error("has no name".to_owned()))?;
    let (mut schema, mut object) = (schema, arguments);
    for parent in parents {
        schema = part(schema, parent).map_err(error)?;
        let inner = object.entry(*parent).or_insert_with(|| Value::Object(JsonObject::new()));
        object = inner.as_object_mut().ok_or_else(|| error(format!("clashes with `{parent}`")))?;
    }
    let schema = part(schema, place).map_err(error)?;
    let value = read(schema, pair).map_err(error)?;
    match (object.get_mut(*place), value) {
        // `tag=a tag=b` is a list of two.
        (Some(Value::Array(list)), Value::Array(more)) if schema.kinds() == [Kind::Array] => {
            list.extend(more)
        }
        (Some(_), _) => return Err(error("is given twice".to_owned())),
        (None, value) => drop(object.insert((*place).to_owned(), value)),
    }
    Ok(())
}

fn part<'a>(schema: Schema<'a>, name: &str) -> Result<Schema<'a>, String> {
    let names = schema.names();
    if let Some(property) = schema.property(name) {
        return Ok(property);
    }
    let open = names.is_empty() || schema.get("additionalProperties").is_some();
    match schema.other_property().filter(|_| open) {
        Some(property) => Ok(property),
        None => Err(format!("is not an argument{}", check::meant(name, &names))),
    }
}

/// The pair's value: itself, or what is in the file that it names (`@FILE`; `@@` starts a text with one `@`).
fn read(schema: Schema<'_>, pair: &Pair) -> Result<Value, String> {
    if pair.quoted {
        return value::typed(schema, &pair.text, true);
    }
    match pair.text.strip_prefix('@') {
        None => value::typed(schema, &pair.text, false),
        Some(text) if text.starts_with('@') => value::typed(schema, text, false),
        Some(path) => {
            let text = file(Path::new(path))?;
            let text = if schema.kinds() == [Kind::String] { text.as_str() } else { text.trim_end() };
            value::typed(schema, text, false)
        }
    }
}

fn file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let problem = |error: std::io::Error| {
        format!("cannot be read from {shown}: {error} (write @@ for a text that starts with @)")
    };
    let mut text = String::new();
    let file = File::open(path).map_err(problem)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(problem)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("cannot be read from {shown}: it has more than {} MiB", MAX_FILE_BYTES >> 20));
    }
    Ok(text)
}
