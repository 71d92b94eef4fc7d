//! What server-b says about itself: `GET /health`, `/models`, `/config`, `/metrics`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use models::{ConfigResponse, HealthResponse, ModelsResponse, Problem};

use crate::{app::App, error::ApiError};

/// Whether the server and its provider can do their work.
///
/// Always 200: `status` says `degraded` when the provider cannot answer. The provider is asked at most every five seconds.
/// Where a key is needed, callers without one see only `status`, `server` and `timestamp`.
#[utoipa::path(get, path = "/health", tag = "about", responses((status = 200, body = HealthResponse)))]
pub(super) async fn health(State(app): State<Arc<App>>, headers: HeaderMap) -> Json<HealthResponse> {
    let health = app.health().await;
    Json(if app.keys.accept(&headers) { health } else { without_details(health) })
}

fn without_details(health: HealthResponse) -> HealthResponse {
    HealthResponse { provider: None, messages_processed: None, ai: None, ledger: None, ..health }
}

/// The models that a request may name.
#[utoipa::path(
    get, path = "/models", tag = "about",
    responses(
        (status = 200, body = ModelsResponse),
        (status = "4XX", description = "No valid key was shown, or the provider's rate limit is reached", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The provider did not give its list", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn models(State(app): State<Arc<App>>) -> Result<Json<ModelsResponse>, ApiError> {
    app.models().await.map(Json)
}

/// The values that a request without them gets. No secret is ever among them.
#[utoipa::path(
    get, path = "/config", tag = "about",
    responses(
        (status = 200, body = ConfigResponse),
        (status = 401, description = "No valid key was shown", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn config(State(app): State<Arc<App>>) -> Json<ConfigResponse> {
    Json(app.defaults.config())
}

/// Counters for Prometheus, in the OpenMetrics text format.
#[utoipa::path(
    get, path = "/metrics", tag = "about",
    responses(
        (status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = 401, description = "No valid key was shown", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], app.metrics.text())
}
