//! Errors on the wire: RFC 9457 problem documents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A problem document (RFC 9457), media type `application/problem+json`.
///
/// `code` is stable and meant for programs; `detail` says what to do and is meant for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What happened and what to do about it.
    pub detail: String,
    /// Stable name of the error, for instance `rate_limited`.
    pub code: String,
    /// Whether the same request may succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// The request's id, as in the `x-request-id` header and in server-b's log.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_id: Option<String>,
    /// Every field that broke a rule.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<FieldError>,
}

/// One field that broke a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// Path of the field, for instance `temperature` or `history[3].content`.
    pub field: String,
    /// The rule that it broke.
    pub detail: String,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}
