//! From a text to a value of the type that the schema wants.

use serde_json::{Number, Value};

use super::{
    check,
    schema::{Kind, MAX_DEPTH, Schema, shown},
};

/// The value that `text` stands for. `quoted`: it stood in quotes, so a string is meant where one is allowed.
///
/// # Errors
/// What it must be.
pub(super) fn typed(schema: Schema<'_>, text: &str, quoted: bool) -> Result<Value, String> {
    within(schema, text, quoted, MAX_DEPTH)
}

fn within(schema: Schema<'_>, text: &str, quoted: bool, depth: usize) -> Result<Value, String> {
    let choices = schema.choices();
    if !choices.is_empty() {
        return choice(&choices, text);
    }
    let kinds = schema.kinds();
    if kinds.is_empty() {
        return Ok(anything(text, quoted));
    }
    if schema.get("type").is_none() && depth > 0 {
        let alternatives = schema.alternatives();
        if !alternatives.is_empty() {
            return first_that_fits(&alternatives, text, quoted, depth - 1);
        }
    }
    if quoted && kinds.contains(&Kind::String) {
        return Ok(Value::from(text));
    }
    // Strings take everything, so they come last.
    for kind in
        [Kind::Null, Kind::Boolean, Kind::Integer, Kind::Number, Kind::Array, Kind::Object, Kind::String]
    {
        if kinds.contains(&kind)
            && let Ok(value) = of_kind(kind, schema, text, quoted, kinds.len() == 1)
        {
            return Ok(value);
        }
    }
    match kinds.as_slice() {
        [only] => of_kind(*only, schema, text, quoted, true),
        _ => Err(format!("must be {}, not {}", phrases(&kinds), excerpt(text))),
    }
}

fn first_that_fits(
    alternatives: &[Schema<'_>],
    text: &str,
    quoted: bool,
    depth: usize,
) -> Result<Value, String> {
    let is_string = |schema: &Schema<'_>| schema.kinds() == [Kind::String] && schema.choices().is_empty();
    let (strings, others): (Vec<Schema<'_>>, Vec<Schema<'_>>) =
        alternatives.iter().copied().partition(is_string);
    let order = if quoted { strings.into_iter().chain(others) } else { others.into_iter().chain(strings) };
    let mut why = None;
    for alternative in order {
        match within(alternative, text, quoted, depth) {
            Ok(value) if check::problems(alternative, &value).is_empty() => return Ok(value),
            Ok(_) => {}
            Err(error) => why = Some(error),
        }
    }
    Err(why.unwrap_or_else(|| format!("{} is not allowed here", excerpt(text))))
}

/// `alone`: no other type is allowed, so that a list without brackets can be nothing else.
fn of_kind(kind: Kind, schema: Schema<'_>, text: &str, quoted: bool, alone: bool) -> Result<Value, String> {
    let trimmed = text.trim();
    let wrong = || format!("must be {}, not {}", kind.phrase(), excerpt(text));
    match kind {
        Kind::String => Ok(Value::from(text)),
        Kind::Null if trimmed == "null" => Ok(Value::Null),
        Kind::Boolean => boolean(trimmed).map(Value::from).ok_or_else(wrong),
        Kind::Integer => integer(trimmed).map(Value::Number).ok_or_else(wrong),
        Kind::Number => number(trimmed).map(Value::Number).ok_or_else(wrong),
        Kind::Array if trimmed.starts_with('[') => json(trimmed),
        Kind::Array if alone => items(schema.items(), trimmed, quoted),
        Kind::Object if trimmed.starts_with('{') => json(trimmed),
        Kind::Object if alone => Err(format!("must be an object in JSON, like {{…}}, not {}", excerpt(text))),
        _ => Err(wrong()),
    }
}

/// `a,b`: a list of plain values.
fn items(schema: Schema<'_>, text: &str, quoted: bool) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Array(Vec::new()));
    }
    let kinds = schema.kinds();
    if kinds.iter().any(|kind| matches!(kind, Kind::Array | Kind::Object)) {
        return Err(format!("must be a list in JSON, like […], not {}", excerpt(text)));
    }
    if quoted {
        return Ok(Value::Array(vec![typed(schema, text, true)?]));
    }
    text.split(',')
        .map(|item| typed(schema, item.trim(), false))
        .collect::<Result<Vec<_>, _>>()
        .map(Value::Array)
}

fn choice(choices: &[&Value], text: &str) -> Result<Value, String> {
    if let Some(found) = choices.iter().find(|choice| shown(choice) == text) {
        return Ok((*found).clone());
    }
    let listed: Vec<String> = choices.iter().take(20).map(|choice| shown(choice)).collect();
    let more = if choices.len() > listed.len() { ", …" } else { "" };
    Err(format!("must be one of {}{more}; not {}", listed.join(", "), excerpt(text)))
}

/// Without a schema: what is JSON is JSON, and the rest is text.
fn anything(text: &str, quoted: bool) -> Value {
    if quoted {
        return Value::from(text);
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("is not JSON: {} at its column {}", reason(&error), error.column()))
}

/// What serde says, without its place.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn integer(text: &str) -> Option<Number> {
    if let Ok(small) = text.parse::<i64>() {
        return Some(small.into());
    }
    text.parse::<u64>().ok().map(Number::from)
}

fn number(text: &str) -> Option<Number> {
    let known = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    if !text.chars().all(known) {
        return None; // `inf`, `NaN`
    }
    integer(text).or_else(|| Number::from_f64(text.parse().ok()?))
}

fn phrases(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.phrase()).collect::<Vec<_>>().join(", or ")
}

/// The start of what was written.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 40;
    let mut start: String = text.chars().take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        start.push('…');
    }
    format!("`{start}`")
}
