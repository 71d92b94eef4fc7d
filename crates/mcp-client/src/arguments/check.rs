//! What a schema does not allow about values. It warns, for the server decides: `pattern`, `format` and rarer keywords are
//! left to it.

use serde_json::Value;

use super::schema::{MAX_DEPTH, Schema, shown};

/// Most problems that are found in one value.
const MOST: usize = 8;

/// What `schema` does not allow about `value`; each with its place.
pub(super) fn problems(schema: Schema<'_>, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", MAX_DEPTH, &mut found);
    found.truncate(MOST);
    found
}

fn check(schema: Schema<'_>, value: &Value, place: &str, depth: usize, found: &mut Vec<String>) {
    if depth == 0 || found.len() >= MOST {
        return;
    }
    let mut wrong = |text: String| found.push(at(place, &text));
    let choices = schema.choices();
    if !choices.is_empty() {
        if !choices.contains(&value) {
            let listed: Vec<String> = choices.iter().take(20).map(|choice| shown(choice)).collect();
            wrong(format!("must be one of {}", listed.join(", ")));
        }
        return;
    }
    let kinds = schema.kinds();
    if !kinds.is_empty() && !kinds.iter().any(|kind| kind.fits(value)) {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.phrase()).collect();
        wrong(format!("must be {}", names.join(", or ")));
        return;
    }
    limits(schema, value, &mut wrong);
    for part in schema.all() {
        check(part, value, place, depth - 1, found);
    }
    let alternatives = schema.alternatives();
    let fits = |part: &Schema<'_>| {
        let mut problems = Vec::new();
        check(*part, value, place, depth - 1, &mut problems);
        problems.is_empty()
    };
    if !alternatives.is_empty() && !alternatives.iter().any(fits) {
        found.push(at(place, "fits none of its alternatives"));
    }
    match value {
        Value::Object(object) => properties(schema, object, place, depth, found),
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                check(schema.items(), item, &format!("{place}[{index}]"), depth - 1, found);
            }
        }
        _ => {}
    }
}

fn properties(
    schema: Schema<'_>,
    object: &rmcp::model::JsonObject,
    place: &str,
    depth: usize,
    found: &mut Vec<String>,
) {
    for name in schema.required() {
        // Those of the tool itself are asked for.
        if !place.is_empty() && !object.contains_key(&name) {
            found.push(at(place, &format!("needs `{name}`")));
        }
    }
    let names = schema.names();
    for (name, value) in object {
        let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        match schema.property(name).or_else(|| schema.other_property()) {
            Some(_) if schema.property(name).is_none() && is_typo(name, &names) => {
                found.push(format!("`{place}` is not an argument{}", meant(name, &names)));
            }
            Some(property) => check(property, value, &place, depth - 1, found),
            None => found.push(format!("`{place}` is not allowed{}", meant(name, &names))),
        }
    }
}

/// Most servers leave `additionalProperties` out and pass over what they do not know: then only what is nearly a name of
/// theirs is worth a word.
fn is_typo(name: &str, names: &[String]) -> bool {
    super::nearest(name, names.iter().map(String::as_str)).is_some()
}

/// What may have been meant.
pub(super) fn meant(name: &str, names: &[String]) -> String {
    match super::nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("; do you mean `{near}`?"),
        None => String::new(),
    }
}

fn limits(schema: Schema<'_>, value: &Value, wrong: &mut impl FnMut(String)) {
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    if let Some(number) = value.as_f64() {
        if let Some(least) = limit("minimum").filter(|least| number < *least) {
            wrong(format!("must be at least {least}"));
        }
        if let Some(most) = limit("maximum").filter(|most| number > *most) {
            wrong(format!("must be at most {most}"));
        }
        if let Some(bound) = limit("exclusiveMinimum").filter(|bound| number <= *bound) {
            wrong(format!("must be more than {bound}"));
        }
        if let Some(bound) = limit("exclusiveMaximum").filter(|bound| number >= *bound) {
            wrong(format!("must be less than {bound}"));
        }
    }
    let (size, least, most, unit) = match value {
        Value::String(text) => (text.chars().count(), "minLength", "maxLength", "characters"),
        Value::Array(list) => (list.len(), "minItems", "maxItems", "items"),
        _ => return,
    };
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
    if let Some(least) = bound(least).filter(|least| (size as u64) < *least) {
        wrong(format!("must have at least {least} {unit}"));
    }
    if let Some(most) = bound(most).filter(|most| (size as u64) > *most) {
        wrong(format!("must have at most {most} {unit}"));
    }
}

fn at(place: &str, text: &str) -> String {
    if place.is_empty() { text.to_owned() } else { format!("`{place}` {text}") }
}
