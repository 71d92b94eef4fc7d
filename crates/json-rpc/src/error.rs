//! Errors as JSON-RPC has them, and why a text is no message.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Id, Raw};

/// The error of a response.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Error {
    /// What kind of error it is.
    pub code: i64,
    /// The error for people.
    pub message: Cow<'static, str>,
    /// More about it, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Raw>,
}

impl Error {
    /// The text is not JSON.
    pub const PARSE_ERROR: i64 = -32_700;
    /// The JSON is no message, or comes at the wrong time.
    pub const INVALID_REQUEST: i64 = -32_600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i64 = -32_601;
    /// The parameters are wrong.
    pub const INVALID_PARAMS: i64 = -32_602;
    /// It is not the other side's fault.
    pub const INTERNAL_ERROR: i64 = -32_603;

    /// An error without more about it.
    #[must_use]
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The same with more about it.
    #[must_use]
    pub fn with_data(self, data: Raw) -> Self {
        Self { data: Some(data), ..self }
    }

    /// The error as the `error` of a response.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        Raw::of(self).expect("a code and texts are always JSON")
    }
}

impl From<Error> for Raw {
    fn from(error: Error) -> Self {
        error.to_raw()
    }
}

/// Why a text is no message. It repeats nothing of the text.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", error.message)]
pub struct ReadError {
    /// Whom to tell, if that can be said.
    pub id: Option<Id>,
    /// What to tell.
    pub error: Error,
}
