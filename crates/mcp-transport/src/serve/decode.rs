//! From text to a message, and to an answer for text that is none.

use auth::Caller;
use bytes::{BufMut as _, Bytes, BytesMut};
use json_rpc::{Message, ReadError};
use rmcp::model::{ClientJsonRpcMessage, ErrorCode, ErrorData, JsonRpcError, RequestId};
use serde::Serialize;

/// A message as those who answer it want it.
pub(crate) trait Heard: Sized + Send + 'static {
    /// The message that this caller sent, or the text of the error to answer with.
    fn read(text: Bytes, caller: Caller) -> Result<Self, BytesMut>;
}

/// For handlers of rmcp.
impl Heard for ClientJsonRpcMessage {
    fn read(text: Bytes, caller: Caller) -> Result<Self, BytesMut> {
        let mut message = decode(&text).map_err(|refused| refused_text(&refused))?;
        message.insert_extension(caller);
        Ok(message)
    }
}

/// For endpoints, which know the caller from the beginning.
impl Heard for Message {
    fn read(text: Bytes, _: Caller) -> Result<Self, BytesMut> {
        Self::read(&text).map_err(|refused| Self::from(refused).to_line())
    }
}

/// The message in `text`, or the error to answer with. The error repeats nothing of the text.
pub(crate) fn decode(text: &[u8]) -> Result<ClientJsonRpcMessage, JsonRpcError> {
    serde_json::from_slice(text).map_err(|_| refusal(text))
}

/// The text of a message.
pub(crate) fn to_text(message: &impl Serialize) -> serde_json::Result<BytesMut> {
    let mut text = BytesMut::new().writer();
    serde_json::to_writer(&mut text, message)?;
    Ok(text.into_inner())
}

/// The text of an error.
pub(crate) fn refused_text(error: &JsonRpcError) -> BytesMut {
    to_text(error).expect("an error of ours is always JSON")
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
fn refusal(text: &[u8]) -> JsonRpcError {
    let Err(ReadError { id, error }) = Message::read(&Bytes::copy_from_slice(text)) else {
        return invalid(None, "the message is no JSON-RPC request, notification or response");
    };
    let id = id.and_then(|id| id.as_raw().parse().ok());
    let code = ErrorCode(i32::try_from(error.code).unwrap_or(ErrorCode::INVALID_REQUEST.0));
    JsonRpcError::new(id, ErrorData::new(code, error.message, None))
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
