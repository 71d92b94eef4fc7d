//! Reads the arguments of a tool call, and finds everything that is wrong with them.

use models::FieldError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Arguments as they came; each reader takes its own out. `null` counts as absent.
#[derive(Debug)]
pub struct Arguments {
    given: Map<String, Value>,
    broken: Vec<FieldError>,
}

impl Arguments {
    /// The arguments of a call.
    #[must_use]
    pub fn new(given: Option<Map<String, Value>>) -> Self {
        Self { given: given.unwrap_or_default(), broken: Vec::new() }
    }

    /// A text that must be there; empty when it is not, or is something else.
    pub fn required_text(&mut self, field: &str) -> String {
        if self.given.get(field).is_none_or(Value::is_null) {
            self.broken(field, "is required");
        }
        self.text(field).unwrap_or_default()
    }

    /// A text.
    pub fn text(&mut self, field: &str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            other => self.wrong_type(field, "a string", &other),
        }
    }

    /// A number.
    pub fn number(&mut self, field: &str) -> Option<f64> {
        match self.take(field)? {
            Value::Number(number) => number.as_f64(),
            other => self.wrong_type(field, "a number", &other),
        }
    }

    /// An integer from `min` to `max`. JSON has one kind of number: `3.0` is an integer too.
    pub fn integer(&mut self, field: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.take(field)?;
        let Value::Number(number) = &value else {
            return self.wrong_type(field, "an integer", &value);
        };
        let whole = |float: f64| (float.fract() == 0.0 && float >= 0.0).then_some(float as u64);
        let integer = number.as_u64().or_else(|| number.as_f64().and_then(whole));
        let valid = integer.filter(|integer| (min..=max).contains(integer));
        if valid.is_none() {
            self.broken(field, &format!("must be an integer from {min} to {max}, is {number}"));
        }
        valid
    }

    /// A list of objects; only the first one that cannot be read is named.
    pub fn objects<T: DeserializeOwned>(&mut self, field: &str) -> Option<Vec<T>> {
        let items = match self.take(field)? {
            Value::Array(items) => items,
            other => return self.wrong_type(field, "an array", &other),
        };
        let mut objects = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{field}[{index}]");
            if !item.is_object() {
                return self.wrong_type(&path, "an object", &item);
            }
            match serde_json::from_value(item) {
                Ok(object) => objects.push(object),
                Err(error) => {
                    self.broken(&path, &error.to_string());
                    return None;
                }
            }
        }
        Some(objects)
    }

    /// Adds rules that were found to be broken elsewhere. A field that could not be read looks like a missing one there: it
    /// is named already.
    pub fn rules(&mut self, broken: impl IntoIterator<Item = FieldError>) {
        for error in broken {
            if !self.broken.iter().any(|known| known.field == error.field) {
                self.broken.push(error);
            }
        }
    }

    /// Ends the reading: what is left over is unknown.
    ///
    /// # Errors
    /// With every argument that is wrong.
    pub fn finish(mut self) -> Result<(), Vec<FieldError>> {
        for (field, _) in std::mem::take(&mut self.given) {
            self.broken(&field, "is not an argument of this tool");
        }
        if self.broken.is_empty() { Ok(()) } else { Err(self.broken) }
    }

    fn take(&mut self, field: &str) -> Option<Value> {
        self.given.remove(field).filter(|value| !value.is_null())
    }

    fn wrong_type<T>(&mut self, field: &str, expected: &str, value: &Value) -> Option<T> {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.broken(field, &format!("must be {expected}, is {kind}"));
        None
    }

    /// Adds a rule that `field` breaks.
    pub fn broken(&mut self, field: &str, rule: &str) {
        self.broken.push(FieldError { field: field.to_owned(), detail: rule.to_owned() });
    }
}
