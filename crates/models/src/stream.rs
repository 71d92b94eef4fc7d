//! `POST /stream`: the answer piece by piece, as Server-Sent Events.

use serde::{Deserialize, Serialize};

use crate::{FinishReason, UsageReport};

/// The data of the event that ends a stream which went well.
pub const DONE: &str = "[DONE]";

/// The JSON in the `data:` of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StreamEvent {
    /// A piece of the answer.
    Piece(StreamPiece),
    /// The end: the answer is complete and recorded. `[DONE]` follows.
    End(Box<StreamEnd>),
    /// The stream failed; nothing follows.
    Error(StreamError),
}

/// A piece of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamPiece {
    /// Text to append.
    pub content: String,
}

/// What a complete answer used and cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamEnd {
    /// Tokens and cost.
    pub usage: UsageReport,
    /// Full id of the model that was asked.
    pub model: String,
    /// Seconds from the request to the end of the answer, three decimals.
    pub processing_time: f64,
    /// When the answer was complete, RFC 3339 in UTC.
    pub timestamp: String,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
}

/// Why a stream broke off after its first byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamError {
    /// What happened and what to do about it.
    pub error: String,
    /// The stable name of the error, as in a problem document.
    pub code: String,
}
