//! What breaks the rules of the transport, and how that is said.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use json_rpc::{Error, Id, Message, ReadError};

/// Headers say something else than the message.
pub(super) const HEADER_MISMATCH: i64 = -32_020;
/// What is asked for needs something that the client did not say it can do.
const MISSING_CAPABILITY: i64 = -32_021;
/// The version of the protocol is not spoken.
const UNSUPPORTED_VERSION: i64 = -32_022;
/// The other side has enough to do.
const OVERLOADED: i64 = -32_006;

/// What a client is told of a panic.
pub(super) const BROKEN: &str = "the server failed on this request; its log says why";

/// An error in place of an answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: ReadError,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, id: Option<&Id>, why: impl Into<Cow<'static, str>>) -> Self {
        Self::with_code(status, id, Error::INVALID_REQUEST, why)
    }

    pub(super) fn bad(id: Option<&Id>, code: i64, why: impl Into<Cow<'static, str>>) -> Self {
        Self::with_code(StatusCode::BAD_REQUEST, id, code, why)
    }

    /// In the session, where there are too many requests already.
    pub(super) fn overloaded(id: &Id, limit: usize) -> Self {
        let why = format!("too many requests are in flight: at most {limit}, try again after an answer");
        let data = [("code", json_rpc::Raw::text("SERVER_OVERLOADED"))];
        let error =
            Error::new(OVERLOADED, why).with_data(data.into_iter().collect::<json_rpc::Members>().into());
        Self { status: StatusCode::OK, error: ReadError { id: Some(id.clone()), error } }
    }

    /// It is the server's own fault. The panic is in the log already, with its message and place.
    pub(super) fn broken() -> Self {
        Self::with_code(StatusCode::INTERNAL_SERVER_ERROR, None, Error::INTERNAL_ERROR, BROKEN)
    }

    fn with_code(status: StatusCode, id: Option<&Id>, code: i64, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error: ReadError { id: id.cloned(), error: Error::new(code, why) } }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        json(self.status, Message::from(self.error).to_bytes())
    }
}

/// A response that is one message.
pub(super) fn json(status: StatusCode, message: Bytes) -> Response {
    let mut response = Response::new(Body::from(message));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The status of a response of the newer era that is this error. `is_complete` when the request had said what each must say.
pub(super) fn status(error: &json_rpc::Raw, is_complete: bool) -> StatusCode {
    #[derive(serde::Deserialize)]
    struct Code {
        code: i64,
    }
    match error.parse::<Code>().map(|error| error.code) {
        Ok(HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION) => StatusCode::BAD_REQUEST,
        Ok(Error::INVALID_PARAMS) if !is_complete => StatusCode::BAD_REQUEST,
        Ok(Error::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}
