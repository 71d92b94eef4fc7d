//! From text to a message, and to an answer for text that is none.

use rmcp::model::{ClientJsonRpcMessage, ErrorCode, ErrorData, JsonRpcError, RequestId};
use serde_json::Value;

/// The message in `text`, or the error to answer with. The error repeats nothing of the text.
pub(crate) fn decode(text: &[u8]) -> Result<ClientJsonRpcMessage, JsonRpcError> {
    serde_json::from_slice(text).map_err(|_| refusal(text))
}

/// The error for a message of more than `limit` bytes.
pub(crate) fn too_large(limit: usize) -> JsonRpcError {
    invalid(None, format!("the message is larger than {limit} bytes"))
}

/// An error about a message whose id, if it has one, is not known.
pub(crate) fn invalid(id: Option<RequestId>, message: impl Into<String>) -> JsonRpcError {
    JsonRpcError::new(id, ErrorData::new(ErrorCode::INVALID_REQUEST, message.into(), None))
}

/// Why `text` is not a message.
pub(crate) fn refusal(text: &[u8]) -> JsonRpcError {
    match serde_json::from_slice::<Value>(text) {
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            let message = format!("the message is not JSON: it stops making sense at {place}");
            JsonRpcError::new(None, ErrorData::new(ErrorCode::PARSE_ERROR, message, None))
        }
        Ok(Value::Array(_)) => {
            invalid(None, "batches are not part of the protocol any more: send each message by itself")
        }
        Ok(Value::Object(object)) => {
            let id = object.get("id").and_then(|id| serde_json::from_value(id.clone()).ok());
            if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
                invalid(id, "the message has no \"jsonrpc\": \"2.0\"")
            } else if object.get("method").is_some_and(Value::is_string)
                && object.get("params").is_some_and(|params| !params.is_object())
            {
                JsonRpcError::new(id, ErrorData::invalid_params("params must be an object", None))
            } else {
                invalid(id, "the message is no JSON-RPC request, notification or response")
            }
        }
        Ok(_) => invalid(None, "the message is not a JSON object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_gets_the_error_that_says_why() {
        for (text, code, id) in [
            ("{", ErrorCode::PARSE_ERROR, None),
            ("", ErrorCode::PARSE_ERROR, None),
            ("\u{0}", ErrorCode::PARSE_ERROR, None),
            ("[]", ErrorCode::INVALID_REQUEST, None),
            ("7", ErrorCode::INVALID_REQUEST, None),
            (r#"{"id":3,"method":"ping"}"#, ErrorCode::INVALID_REQUEST, Some(RequestId::Number(3))),
            (
                r#"{"jsonrpc":"2.0","id":3,"method":"m","params":[]}"#,
                ErrorCode::INVALID_PARAMS,
                Some(RequestId::Number(3)),
            ),
            (r#"{"jsonrpc":"2.0","id":3}"#, ErrorCode::INVALID_REQUEST, Some(RequestId::Number(3))),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, ErrorCode::INVALID_REQUEST, None),
        ] {
            let error = decode(text.as_bytes()).unwrap_err();
            assert_eq!((error.error.code, error.id), (code, id), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        let deep = "[".repeat(100_000);
        assert_eq!(decode(deep.as_bytes()).unwrap_err().error.code, ErrorCode::PARSE_ERROR);
    }
}
