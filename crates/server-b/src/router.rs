//! The routes with their layers, put together.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};

use crate::{app::App, error::ApiError, observe::observe, routes};

/// All routes with all layers. From the outside in: `observe` sees every request and writes every problem; then the key
/// is checked, before a byte of a body is read.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (open, guarded) = routes::all();
    let guarded = guarded.layer(middleware::from_fn_with_state(app.clone(), require_key));
    open.merge(guarded)
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::Method)
        .layer(middleware::from_fn_with_state(app.metrics.clone(), observe))
        .with_state(app)
}

async fn require_key(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if app.keys.accept(request.headers()) { Ok(next.run(request).await) } else { Err(ApiError::Unauthorized) }
}
