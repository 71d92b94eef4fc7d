//! Messages of a server as they come over the wire.

use std::borrow::Cow;

use rmcp::model::{ErrorData, RequestId, ServerJsonRpcMessage};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

const UNREADABLE: &str = "mcp-transport: unreadable";

/// Reads one message. One that cannot be read is logged by its size alone; if it answers a request, the request fails
/// instead of waiting for ever.
pub(crate) fn read(text: &[u8]) -> Option<ServerJsonRpcMessage> {
    if let Ok(message) = serde_json::from_slice(text) {
        return Some(message);
    }
    let id = answered::<RequestId>(text);
    tracing::warn!(
        message.bytes = text.len(),
        message.answers = id.is_some(),
        "a message of the server cannot be read"
    );
    let error = unreadable("the server's answer cannot be read");
    id.map(|id| ServerJsonRpcMessage::error(error, Some(id)))
}

/// The error that stands for an answer that cannot be read.
pub(crate) fn unreadable(reason: impl Into<Cow<'static, str>>) -> ErrorData {
    ErrorData::internal_error(reason, Some(Value::from(UNREADABLE)))
}

/// Whether this error is not the server's own: it stands for an answer of it that cannot be read, or is too large.
#[must_use]
pub fn is_unreadable(error: &ErrorData) -> bool {
    error.data.as_ref().is_some_and(|data| data == UNREADABLE)
}

/// The id of the request that this message answers, as far as it can be told.
pub(crate) fn answered<I: DeserializeOwned>(text: &[u8]) -> Option<I> {
    #[derive(Deserialize)]
    struct Head<I> {
        id: I,
        method: Option<IgnoredAny>,
    }
    let head = serde_json::from_slice::<Head<I>>(text).ok()?;
    head.method.is_none().then_some(head.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_cannot_be_read_fails_its_request() {
        let read = read(br#"{"jsonrpc": "2.0", "id": 7, "error": "not an object"}"#).unwrap();
        let ServerJsonRpcMessage::Error(error) = read else { panic!("{read:?}") };
        assert_eq!(error.id, Some(RequestId::Number(7)));
    }

    #[test]
    fn what_answers_nothing_and_cannot_be_read_is_left_out() {
        for text in ["", "Server started.", "[]", "{\"id\": 7", r#"{"id": 7, "method": 1}"#, "\u{0}"] {
            assert!(read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
