//! What the tools are asked for: arguments that keep the rules.

use ledger::HistoryQuery;
use mcp_tools::Arguments;
use models::{FieldError, ProcessRequest};

use crate::{body::InvalidBody, defaults::Changes};

/// Messages of a page of the history, when nothing else is asked for.
pub(super) const PAGE_DEFAULT: u64 = 50;
/// Most messages of one page of the history.
pub(super) const PAGE_MAX: u64 = 500;

/// The message to answer, by the rules of `POST /process`.
///
/// # Errors
/// With every argument that is wrong.
pub(super) fn message(
    mut arguments: Arguments,
    max_tokens_limit: u32,
) -> Result<ProcessRequest, InvalidBody> {
    let request = ProcessRequest {
        message: arguments.required_text("message"),
        context: arguments.text("context"),
        model: arguments.text("model"),
        temperature: arguments.number("temperature"),
        max_tokens: max_tokens(&mut arguments, max_tokens_limit),
        history: arguments.objects("history"),
    };
    checked(request, arguments)
}

/// The defaults to change, by the same rules.
///
/// # Errors
/// With every argument that is wrong.
pub(super) fn changes(mut arguments: Arguments, max_tokens_limit: u32) -> Result<Changes, InvalidBody> {
    let request = ProcessRequest {
        message: "-".to_owned(), // the only field that a request must have
        model: arguments.text("model"),
        temperature: arguments.number("temperature"),
        max_tokens: max_tokens(&mut arguments, max_tokens_limit),
        ..ProcessRequest::default()
    };
    let ProcessRequest { model, temperature, max_tokens, .. } = checked(request, arguments)?;
    Ok(Changes { model, temperature, max_tokens })
}

/// The page of the history to read.
///
/// # Errors
/// With every argument that is wrong.
pub(super) fn page(mut arguments: Arguments) -> Result<HistoryQuery, InvalidBody> {
    let query = HistoryQuery {
        conversation: None,
        before: arguments.integer("before", 1, i64::MAX as u64).and_then(|id| id.try_into().ok()),
        limit: arguments.integer("limit", 1, PAGE_MAX).unwrap_or(PAGE_DEFAULT) as usize,
    };
    nothing(arguments)?;
    Ok(query)
}

/// For tools without arguments, and for the end of the others'.
///
/// # Errors
/// With every argument that is wrong.
pub(super) fn nothing(arguments: Arguments) -> Result<(), InvalidBody> {
    arguments.finish().map_err(InvalidBody::Fields)
}

/// Arguments that are not even an object.
pub(super) fn not_an_object() -> InvalidBody {
    let error = FieldError { field: "arguments".to_owned(), detail: "must be an object".to_owned() };
    InvalidBody::Fields(vec![error])
}

fn max_tokens(arguments: &mut Arguments, limit: u32) -> Option<u32> {
    arguments.integer("max_tokens", 1, limit.into()).and_then(|tokens| tokens.try_into().ok())
}

fn checked(request: ProcessRequest, mut arguments: Arguments) -> Result<ProcessRequest, InvalidBody> {
    arguments.rules(request.broken_rules());
    nothing(arguments)?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use models::{Role, Turn};
    use serde_json::{Value, json};

    use super::*;

    const LIMIT: u32 = 4_000;

    fn given(value: Value) -> Arguments {
        Arguments::new(value.as_object().cloned())
    }

    fn broken(invalid: InvalidBody) -> Vec<(String, String)> {
        let InvalidBody::Fields(errors) = invalid else { panic!("{invalid:?}") };
        errors.into_iter().map(|error| (error.field, error.detail)).collect()
    }

    fn fields(invalid: InvalidBody) -> Vec<String> {
        let mut fields: Vec<_> = broken(invalid).into_iter().map(|(field, _)| field).collect();
        fields.sort();
        fields
    }

    #[test]
    fn a_message_with_all_arguments_is_read() {
        let arguments = given(json!({
            "message": "hello", "context": "be brief", "model": "gpt-4o", "temperature": 1, "max_tokens": 10.0,
            "history": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
        }));
        let request = message(arguments, LIMIT).unwrap();
        assert_eq!((request.temperature, request.max_tokens), (Some(1.0), Some(10)));
        let last = Turn { role: Role::Assistant, content: "hello".to_owned() };
        assert_eq!(request.history.unwrap()[1], last);
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let request = message(given(json!({"message": "a", "model": null, "history": null})), LIMIT).unwrap();
        assert_eq!((request.model, request.history), (None, None));
        assert_eq!(page(given(json!({"limit": null}))).unwrap().limit, 50);
    }

    #[test]
    fn every_broken_argument_is_named_once() {
        let arguments = given(json!({
            "message": 7, "context": "x".repeat(5_001), "model": "", "temperature": 2.5, "max_tokens": LIMIT + 1,
            "history": [{"role": "robot", "content": "a"}, 5], "stream": true,
        }));
        let expected = ["context", "history[0]", "max_tokens", "message", "model", "stream", "temperature"];
        assert_eq!(fields(message(arguments, LIMIT).unwrap_err()), expected);
    }

    #[test]
    fn a_missing_message_and_an_empty_one_are_told_apart() {
        let missing = broken(message(given(json!({})), LIMIT).unwrap_err());
        assert_eq!(missing, [("message".to_owned(), "is required".to_owned())]);
        let empty = broken(message(given(json!({"message": ""})), LIMIT).unwrap_err());
        assert_eq!(empty[0].1, "must have 1 to 10000 characters, has 0");
    }

    #[test]
    fn a_broken_turn_is_named_by_its_place_and_not_quoted() {
        let empty = json!({"message": "a", "history": [{"role": "user", "content": ""}]});
        assert_eq!(fields(message(given(empty), LIMIT).unwrap_err()), ["history[0].content"]);
        for history in [json!("private"), json!(["private"]), json!([["private"]])] {
            let arguments = given(json!({"message": "a", "history": history}));
            assert!(!format!("{:?}", message(arguments, LIMIT).unwrap_err()).contains("private"));
        }
    }

    #[test]
    fn changes_keep_the_rules_of_a_request() {
        let changed = changes(given(json!({"model": "gpt-4o", "temperature": 0})), LIMIT).unwrap();
        assert_eq!((changed.model.as_deref(), changed.temperature), (Some("gpt-4o"), Some(0.0)));
        let arguments =
            given(json!({"model": "", "temperature": -0.1, "max_tokens": LIMIT + 1, "message": "a"}));
        let expected = ["max_tokens", "message", "model", "temperature"];
        assert_eq!(fields(changes(arguments, LIMIT).unwrap_err()), expected);
    }

    #[test]
    fn a_page_has_its_limits() {
        let query = page(given(json!({"limit": 500, "before": 9}))).unwrap();
        assert_eq!((query.limit, query.before), (500, Some(9)));
        let wrong = given(json!({"limit": 501, "before": 0, "conversation_id": "c"}));
        assert_eq!(fields(page(wrong).unwrap_err()), ["before", "conversation_id", "limit"]);
    }
}
