//! From the arguments of a tool call to a request that keeps the rules, or to everything that is wrong with them.

use ledger::HistoryQuery;
use models::{FieldError, ProcessRequest};
use serde_json::{Map, Value};
use serde_valid::{Validate as _, validation::Errors};

use crate::{Failure, Message, conversation};

/// Messages of a history page: the default and the most.
pub(crate) const PAGE_DEFAULT: u64 = 50;
/// Most messages of one history page.
pub(crate) const PAGE_MAX: u64 = 500;

/// Arguments as they came; each reader takes its own out. `null` counts as absent.
pub(crate) struct Arguments {
    given: Map<String, Value>,
    broken: Vec<FieldError>,
}

impl Arguments {
    pub(crate) fn new(given: Option<Map<String, Value>>) -> Self {
        Self { given: given.unwrap_or_default(), broken: Vec::new() }
    }

    /// The arguments of the sending tools.
    pub(crate) fn message(mut self) -> Result<Message, Failure> {
        let message = self.text("message");
        if message.is_none() && !self.is_broken("message") {
            self.broken("message", "is required");
        }
        let request = ProcessRequest {
            message: message.unwrap_or_default(),
            context: self.text("context"),
            model: self.text("model"),
            temperature: self.number("temperature"),
            max_tokens: self.integer("max_tokens", 1, u32::MAX.into()).and_then(|max| max.try_into().ok()),
            history: None,
        };
        if let Err(errors) = request.validate() {
            self.rules(&errors);
        }
        let conversation = self.conversation();
        self.finish()?;
        Ok(Message { request, conversation })
    }

    /// The arguments of the history tool.
    pub(crate) fn history(mut self) -> Result<HistoryQuery, Failure> {
        let query = HistoryQuery {
            conversation: self.conversation(),
            before: self.integer("before", 1, i64::MAX as u64).and_then(|id| id.try_into().ok()),
            limit: self.integer("limit", 1, PAGE_MAX).unwrap_or(PAGE_DEFAULT) as usize,
        };
        self.finish()?;
        Ok(query)
    }

    /// Ends the reading: what is left over is unknown.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        for field in std::mem::take(&mut self.given).into_iter().map(|(field, _)| field) {
            self.broken(&field, "is not an argument of this tool");
        }
        if self.broken.is_empty() { Ok(()) } else { Err(Failure::arguments(self.broken)) }
    }

    fn conversation(&mut self) -> Option<String> {
        let id = self.text("conversation_id")?;
        if !conversation::is_id(&id) {
            let rule = format!("must have 1 to {} visible characters", conversation::ID_MAX_CHARS);
            self.broken("conversation_id", &rule);
        }
        Some(id)
    }

    fn take(&mut self, field: &str) -> Option<Value> {
        self.given.remove(field).filter(|value| !value.is_null())
    }

    fn text(&mut self, field: &str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            other => self.wrong_type(field, "a string", &other),
        }
    }

    fn number(&mut self, field: &str) -> Option<f64> {
        match self.take(field)? {
            Value::Number(number) => number.as_f64(),
            other => self.wrong_type(field, "a number", &other),
        }
    }

    /// JSON has one kind of number: `3.0` is an integer too.
    fn integer(&mut self, field: &str, min: u64, max: u64) -> Option<u64> {
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

    /// The rules that the request itself knows. A field that could not be read looks like a missing one: it is named already.
    fn rules(&mut self, errors: &Errors) {
        let Errors::Object(object) = errors else { return };
        for (field, errors) in &object.properties {
            if let Errors::NewType(errors) = errors
                && !self.is_broken(field)
            {
                let details: Vec<_> = errors.iter().map(ToString::to_string).collect();
                self.broken(field, &details.join(", "));
            }
        }
    }

    fn is_broken(&self, field: &str) -> bool {
        self.broken.iter().any(|error| error.field == field)
    }

    fn broken(&mut self, field: &str, rule: &str) {
        self.broken.push(FieldError { field: field.to_owned(), detail: rule.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(value: Value) -> Arguments {
        Arguments::new(value.as_object().cloned())
    }

    fn broken(failure: Failure) -> Vec<(String, String)> {
        failure.errors.into_iter().map(|error| (error.field, error.detail)).collect()
    }

    #[test]
    fn a_message_with_all_arguments_is_read() {
        let message = given(json!({
            "message": "hello", "context": "be brief", "model": "gpt-4o", "temperature": 1, "max_tokens": 10.0,
            "conversation_id": "c-1",
        }))
        .message()
        .unwrap();
        assert_eq!(message.request.temperature, Some(1.0));
        assert_eq!(message.request.max_tokens, Some(10));
        assert_eq!(message.conversation.as_deref(), Some("c-1"));
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let message =
            given(json!({"message": "a", "model": null, "conversation_id": null})).message().unwrap();
        assert_eq!((message.request.model, message.conversation), (None, None));
    }

    #[test]
    fn every_broken_argument_is_named_once() {
        let failure = given(json!({
            "message": 7, "context": "x".repeat(5_001), "model": "", "temperature": 2.5, "max_tokens": 0,
            "conversation_id": "a b", "stream": true,
        }))
        .message()
        .unwrap_err();
        let mut fields: Vec<_> = broken(failure).into_iter().map(|(field, _)| field).collect();
        fields.sort();
        let expected =
            ["context", "conversation_id", "max_tokens", "message", "model", "stream", "temperature"];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_missing_message_and_an_empty_one_are_told_apart() {
        let missing = broken(given(json!({})).message().unwrap_err());
        assert_eq!(missing, [("message".to_owned(), "is required".to_owned())]);
        let empty = broken(given(json!({"message": ""})).message().unwrap_err());
        assert_eq!(empty[0].1, "must have 1 to 10000 characters, has 0");
    }

    #[test]
    fn an_argument_is_never_quoted() {
        let failure =
            given(json!({"message": {"text": "private"}, "context": ["private"]})).message().unwrap_err();
        assert!(!failure.detail.contains("private"), "{}", failure.detail);
    }

    #[test]
    fn a_history_page_has_50_messages_unless_it_is_told_otherwise() {
        assert_eq!(Arguments::new(None).history().unwrap().limit, 50);
        let query = given(json!({"limit": 500, "before": 9, "conversation_id": "c"})).history().unwrap();
        assert_eq!((query.limit, query.before, query.conversation.as_deref()), (500, Some(9), Some("c")));
        let failure = given(json!({"limit": 501, "before": 0})).history().unwrap_err();
        assert_eq!(broken(failure).len(), 2);
    }
}
