//! The paths of the transports that have a connection for each session.

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use super::{
    mount::{Answers, Mount},
    socket,
    sse::{self, Streams},
};

/// HTTP+SSE (`/sse`, `/message`) and WebSocket (`/ws`).
pub(super) fn routes<A: Answers>(mount: &Arc<Mount<A>>) -> Router {
    let sse = Router::new()
        .route("/sse", get(sse::open::<A>))
        .route("/message", post(sse::message::<A>))
        .with_state(Arc::new(Streams::new(mount.clone())));
    let socket = Router::new().route("/ws", get(socket::open::<A>)).with_state(mount.clone());
    sse.merge(socket)
}
