//! `POST /process`.

use std::sync::Arc;

use axum::{Json, extract::State};
use models::{Problem, ProcessRequest, ProcessResponse};

use crate::{app::App, asked::Asked, error::ApiError};

/// Answers one message in one piece.
///
/// With an `Idempotency-Key` the same request is answered once: repeating it gives the recorded answer.
#[utoipa::path(
    post, path = "/process", tag = "messages", request_body = ProcessRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters, for instance a UUID")),
    responses(
        (status = 200, description = "The answer; it is recorded", body = ProcessResponse),
        (status = 400, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No valid key was shown", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The Idempotency-Key is being answered by a stream", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is larger than 4 MiB", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A rule is broken, the provider rejects the request, or the Idempotency-Key stands for another one", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "The provider's rate limit is reached; Retry-After says how long, if the provider does", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The provider answered with an error, or cannot be reached", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The provider is not configured or overloaded, or this server is full", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "The provider did not answer in time", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn process(
    State(app): State<Arc<App>>,
    Asked { question, slot }: Asked,
) -> Result<Json<ProcessResponse>, ApiError> {
    let answer = app.responder.answer(question).await?;
    drop(slot);
    Ok(Json(answer.response()))
}
