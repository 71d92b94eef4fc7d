//! An upstream over Streamable HTTP that forgets its sessions, has no time, or stands behind a proxy that takes not all.

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
use mcp_transport::{Address, ConnectOptions, Era};
use resilience::Backoff;

use super::*;
use crate::Retries;

/// Largest answer that is accepted, in bytes.
const LIMIT: usize = 10_000;

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
    let Ok(Message::Request(Request { id, method, params })) = Message::read(&body) else {
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
    let params = params.map(|params| params.as_str().to_owned()).unwrap_or_default();
    if params.contains("too-much") {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the proxy takes no more").into_response();
    }
    if params.contains("endless") {
        return json(&format!(r#"{{"text":"{}"}}"#, "x".repeat(LIMIT)));
    }
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
    let options = ConnectOptions { message_bytes: LIMIT, ..ConnectOptions::default() };
    let replicas = vec![Replica { options, ..Replica::at(address) }];
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

#[tokio::test]
async fn a_request_that_a_proxy_does_not_take_is_tried_once_and_says_nothing_of_the_server() {
    let (server, world) = start().await;
    for number in 1..=10 {
        let refused = world.call_as(&modern(), Repeat::Allowed, "too-much").await.unwrap_err();
        assert!(matches!(refused, CallError::Unacceptable { .. }), "{refused}");
        assert!(refused.to_string().contains("413"), "{refused}");
        assert_eq!(server.calls.load(Ordering::SeqCst), number, "it is not tried again");
    }
    assert_eq!(world.upstream.last_error(), None);
    assert_eq!(world.call("echo").await.unwrap(), "answered", "the breaker is closed");
    world.upstream.close(SECOND).await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_asked_for_again() {
    let (server, world) = start().await;
    for number in 1..=10 {
        let large = world.call_as(&modern(), Repeat::Allowed, "endless").await.unwrap_err();
        assert!(matches!(large, CallError::TooLarge { .. }), "{large}");
        assert!(large.to_string().contains(&LIMIT.to_string()), "{large}");
        assert_eq!(server.calls.load(Ordering::SeqCst), number, "it was carried out once");
    }
    assert_eq!(world.upstream.last_error(), None);
    assert_eq!(world.call("echo").await.unwrap(), "answered", "the breaker is closed");
    world.upstream.close(SECOND).await;
}
