//! What people and monitors ask the gateway itself.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use gateway::{Explanation, Gateway, Health};
use serde::Deserialize;

/// `GET /health`, and `GET /explain?name=…`.
pub(crate) fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new().route("/health", get(health)).route("/explain", get(explain)).with_state(gateway)
}

/// How each upstream is: 200, also when some cannot be used, as the others can; 503 when none can.
async fn health(State(gateway): State<Arc<Gateway>>) -> (StatusCode, Json<Health>) {
    let health = gateway.health();
    let status = if health.is_down() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(health))
}

#[derive(Deserialize)]
struct Asked {
    name: String,
}

async fn explain(State(gateway): State<Arc<Gateway>>, Query(asked): Query<Asked>) -> Json<Explanation> {
    Json(gateway.explain(&asked.name))
}
