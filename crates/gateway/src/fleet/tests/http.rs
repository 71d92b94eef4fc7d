//! An upstream over Streamable HTTP that forgets its sessions, or has no time.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use json_rpc::{Message, Request};
use mcp_transport::{Address, Era};
use resilience::Backoff;

use super::*;
use crate::Retries;

/// A server of the older era with sessions.
#[derive(Default)]
struct Server {
    begun: AtomicUsize,
    sessions: Mutex<HashSet<String>>,
    calls: AtomicUsize,
    /// Requests that it will refuse because it has no time.
    busy: AtomicUsize,
}

async fn answer(
    State(server): State<Arc<Server>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Ok(Message::Request(Request { id, method, .. })) = Message::read(&body) else {
        return StatusCode::ACCEPTED.into_response();
    };
    let json = |result: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.as_raw().as_str());
        ([("content-type", "application/json")], body).into_response()
    };
    if method == "initialize" {
        let session = server.begun.fetch_add(1, Ordering::SeqCst).to_string();
        lock(&server.sessions).insert(session.clone());
        let result =
            r#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"t","version":"1"}}"#;
        return ([("mcp-session-id", session)], json(result)).into_response();
    }
    let session = headers.get("mcp-session-id").map(|session| session.to_str().unwrap().to_owned());
    if !lock(&server.sessions).contains(&session.unwrap_or_default()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let has_no_time = server.busy.try_update(Ordering::SeqCst, Ordering::SeqCst, |busy| busy.checked_sub(1));
    if has_no_time.is_ok() {
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response();
    }
    server.calls.fetch_add(1, Ordering::SeqCst);
    json(r#"{"text":"answered"}"#)
}

async fn start() -> (Arc<Server>, World) {
    let server = Arc::<Server>::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    let router = Router::new().fallback(answer).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let retries = Retries {
        backoff: Backoff { attempts: 3, base: Duration::from_millis(1), max: SECOND },
        ..Retries::default()
    };
    let replicas = vec![Replica::at(address)];
    let settings = UpstreamSettings { era: Era::Legacy, retries, ..UpstreamSettings::new(replicas) };
    (server, World::settled(settings).await)
}

#[tokio::test]
async fn a_session_that_was_forgotten_costs_no_call() {
    let (server, world) = start().await;
    for _ in 0..5 {
        lock(&server.sessions).clear();
        assert_eq!(world.call("echo").await.unwrap(), "answered");
    }
    assert_eq!(server.calls.load(Ordering::SeqCst), 5, "each was carried out once");
    world.upstream.close(SECOND).await;
}

#[tokio::test]
async fn a_server_that_has_no_time_is_asked_again_but_not_for_ever() {
    let (server, world) = start().await;
    server.busy.store(2, Ordering::SeqCst);
    assert_eq!(world.call("echo").await.unwrap(), "answered");
    server.busy.store(3, Ordering::SeqCst);
    let busy = world.call("echo").await.unwrap_err();
    assert!(matches!(busy, CallError::Unreachable { .. }), "{busy}");
    assert_eq!(server.calls.load(Ordering::SeqCst), 1);
    world.upstream.close(SECOND).await;
}
