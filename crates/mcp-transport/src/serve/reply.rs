//! Answers of the transport itself: JSON-RPC errors in HTTP responses.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use rmcp::model::JsonRpcError;

use super::decode::invalid;

/// An HTTP response with a JSON-RPC error in it.
pub(crate) fn error(status: StatusCode, error: &JsonRpcError) -> Response {
    error_text(status, serde_json::to_vec(error).unwrap_or_default())
}

/// An HTTP response with the text of a JSON-RPC error in it.
pub(crate) fn error_text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text.into()).into_response()
}

/// A refusal that concerns no particular message.
pub(crate) fn refuse(status: StatusCode, why: &str) -> Response {
    error(status, &invalid(None, why))
}

/// A refusal for now; the client may try again after some seconds.
pub(crate) fn busy(why: &str, retry_after: &'static str) -> Response {
    ([(header::RETRY_AFTER, retry_after)], refuse(StatusCode::SERVICE_UNAVAILABLE, why)).into_response()
}

/// There is no place for another session.
pub(crate) fn full() -> Response {
    busy("too many sessions are open: try again later", "5")
}
