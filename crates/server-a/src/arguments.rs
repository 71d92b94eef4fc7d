//! From the arguments of a tool call to a request that keeps the rules, or to everything that is wrong with them.

use ledger::HistoryQuery;
use mcp_tools::Arguments;
use models::ProcessRequest;

use crate::{Failure, Message, conversation};

/// Messages of a history page: the default and the most.
pub(crate) const PAGE_DEFAULT: u64 = 50;
/// Most messages of one history page.
pub(crate) const PAGE_MAX: u64 = 500;

/// The arguments of the sending tools.
pub(crate) fn message(mut arguments: Arguments) -> Result<Message, Failure> {
    let request = ProcessRequest {
        message: arguments.required_text("message"),
        context: arguments.text("context"),
        model: arguments.text("model"),
        temperature: arguments.number("temperature"),
        max_tokens: arguments.integer("max_tokens", 1, u32::MAX.into()).and_then(|max| max.try_into().ok()),
        history: None,
    };
    let conversation = conversation(&mut arguments);
    arguments.rules(request.broken_rules());
    nothing(arguments)?;
    Ok(Message { request, conversation })
}

/// The arguments of the history tool.
pub(crate) fn history(mut arguments: Arguments) -> Result<HistoryQuery, Failure> {
    let query = HistoryQuery {
        conversation: conversation(&mut arguments),
        before: arguments.integer("before", 1, i64::MAX as u64).and_then(|id| id.try_into().ok()),
        limit: arguments.integer("limit", 1, PAGE_MAX).unwrap_or(PAGE_DEFAULT) as usize,
    };
    nothing(arguments)?;
    Ok(query)
}

/// For tools without arguments, and for the end of the others'.
pub(crate) fn nothing(arguments: Arguments) -> Result<(), Failure> {
    arguments.finish().map_err(Failure::arguments)
}

fn conversation(arguments: &mut Arguments) -> Option<String> {
    let id = arguments.text("conversation_id")?;
    if !conversation::is_id(&id) {
        let rule = format!("must have 1 to {} visible characters", conversation::ID_MAX_CHARS);
        arguments.broken("conversation_id", &rule);
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn given(value: Value) -> Arguments {
        Arguments::new(value.as_object().cloned())
    }

    fn broken(failure: Failure) -> Vec<(String, String)> {
        failure.errors.into_iter().map(|error| (error.field, error.detail)).collect()
    }

    #[test]
    fn a_message_with_all_arguments_is_read() {
        let message = message(given(json!({
            "message": "hello", "context": "be brief", "model": "gpt-4o", "temperature": 1, "max_tokens": 10.0,
            "conversation_id": "c-1",
        })))
        .unwrap();
        assert_eq!(message.request.temperature, Some(1.0));
        assert_eq!(message.request.max_tokens, Some(10));
        assert_eq!(message.conversation.as_deref(), Some("c-1"));
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let message =
            message(given(json!({"message": "a", "model": null, "conversation_id": null}))).unwrap();
        assert_eq!((message.request.model, message.conversation), (None, None));
    }

    #[test]
    fn every_broken_argument_is_named_once() {
        let failure = message(given(json!({
            "message": 7, "context": "x".repeat(5_001), "model": "", "temperature": 2.5, "max_tokens": 0,
            "conversation_id": "a b", "stream": true,
        })))
        .unwrap_err();
        let mut fields: Vec<_> = broken(failure).into_iter().map(|(field, _)| field).collect();
        fields.sort();
        let expected =
            ["context", "conversation_id", "max_tokens", "message", "model", "stream", "temperature"];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_missing_message_and_an_empty_one_are_told_apart() {
        let missing = broken(message(given(json!({}))).unwrap_err());
        assert_eq!(missing, [("message".to_owned(), "is required".to_owned())]);
        let empty = broken(message(given(json!({"message": ""}))).unwrap_err());
        assert_eq!(empty[0].1, "must have 1 to 10000 characters, has 0");
    }

    #[test]
    fn an_argument_is_never_quoted() {
        let failure =
            message(given(json!({"message": {"text": "private"}, "context": ["private"]}))).unwrap_err();
        assert!(!failure.detail.contains("private"), "{}", failure.detail);
    }

    #[test]
    fn a_history_page_has_50_messages_unless_it_is_told_otherwise() {
        assert_eq!(history(Arguments::new(None)).unwrap().limit, 50);
        let query = history(given(json!({"limit": 500, "before": 9, "conversation_id": "c"}))).unwrap();
        assert_eq!((query.limit, query.before, query.conversation.as_deref()), (500, Some(9), Some("c")));
        let failure = history(given(json!({"limit": 501, "before": 0}))).unwrap_err();
        assert_eq!(broken(failure).len(), 2);
    }
}
