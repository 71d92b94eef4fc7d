//! Sessions: how many, how long, and that nothing is left of them.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use reqwest::{Method, Response, header};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    client::{Client, Era, Wire, http, initialize_params, session_headers, ws_request},
    malformed::first_endpoint,
    support::{Server, reaches, within},
};

const ACCEPT: &str = "application/json, text/event-stream";

async fn open(http: &reqwest::Client, server: &Server, client: &str) -> Response {
    let mut params = initialize_params();
    params["clientInfo"]["name"] = json!(client);
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    http.post(server.url("/mcp")).header(header::ACCEPT, ACCEPT).json(&message).send().await.unwrap()
}

fn id(response: &Response) -> String {
    response.headers()["mcp-session-id"].to_str().unwrap().to_owned()
}

async fn status_of(http: &reqwest::Client, server: &Server, session: &str) -> u16 {
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    let request = http.post(server.url("/mcp")).header(header::ACCEPT, ACCEPT).json(&message);
    session_headers(request, session).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn sessions_that_are_not_known_are_not_found() {
    let server = Server::start().await;
    let http = http();
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let message = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
        let request = http.request(method.clone(), server.url("/mcp")).header(header::ACCEPT, ACCEPT);
        let request = if method == Method::POST { request.json(&message) } else { request };
        let response = session_headers(request, "none").send().await.unwrap();
        assert_eq!(response.status(), 404, "{method}");
        let answer: Value = response.json().await.unwrap();
        let id = if method == Method::POST { json!(2) } else { Value::Null };
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &id), "{method}");
    }
    for (path, status) in [("/message?sessionId=none", 404), ("/message?sessionId=", 404), ("/message", 400)]
    {
        assert_eq!(http.post(server.url(path)).body("{}").send().await.unwrap().status(), status, "{path}");
    }
}

#[tokio::test]
async fn a_request_of_the_older_era_without_a_session_is_told_so() {
    let server = Server::start().await;
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let request = http().post(server.url("/mcp")).header(header::ACCEPT, ACCEPT).json(&message);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 400);
    let answer: Value = response.json().await.unwrap();
    assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &json!(2)));
}

#[tokio::test]
async fn a_session_ends_when_its_client_says_so_and_its_calls_with_it() {
    let server = Server::start().await;
    let mut client = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    client.call("wait", json!({})).await;
    reaches(&server.state.begun, 1).await;
    let session = client.session().unwrap().to_owned();
    let end = || session_headers(http().delete(server.url("/mcp")), &session);
    assert!(end().send().await.unwrap().status().is_success());
    assert_eq!(status_of(&http(), &server, &session).await, 404);
    assert_eq!(end().send().await.unwrap().status(), 404);
    reaches(&server.state.cancelled, 1).await;
    reaches(&server.state.handlers, 0).await;
}

#[tokio::test]
async fn one_session_more_than_there_is_room_for_is_put_off_whatever_its_transport() {
    let server = Server::with(|options| options.settings.mcp_max_sessions = 3).await;
    let http = http();
    let streamable = open(&http, &server, "test").await;
    let (endpoint, sse) = first_endpoint(http.get(server.url("/sse")).send().await.unwrap()).await;
    let (ws, _) = tokio_tungstenite::connect_async(ws_request(&server)).await.unwrap();

    let refused = [
        open(&http, &server, "test").await,
        http.get(server.url("/sse")).send().await.unwrap(),
        http.get(server.url("/ws"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .send()
            .await
            .unwrap(),
    ];
    for response in refused {
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "5");
        assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], -32600);
    }
    // Those who have one, and those who need none, are served.
    assert_eq!(status_of(&http, &server, &id(&streamable)).await, 200);
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    assert_eq!(http.post(server.url(&endpoint)).json(&message).send().await.unwrap().status(), 202);
    let mut modern = Client::open(&server, Wire::Streamable, Era::Modern).await;
    assert_eq!(modern.text("echo", json!({"text": "a"})).await, "a");

    // Each place is free again when its session has ended.
    drop((sse, ws));
    session_headers(http.delete(server.url("/mcp")), &id(&streamable)).send().await.unwrap();
    reaches(&server.state.handlers, 0).await;
    let mut opened = vec![];
    within(async {
        while opened.len() < 3 {
            let response = open(&http, &server, "test").await;
            match response.status().as_u16() {
                200 => opened.push(id(&response)),
                _ => sleep(Duration::from_millis(5)).await, // the last one is on its way out
            }
        }
    })
    .await;
    for session in opened {
        assert_eq!(status_of(&http, &server, &session).await, 200);
    }
}

#[tokio::test]
async fn many_at_once_do_not_get_past_the_limit() {
    let server = Server::with(|options| options.settings.mcp_max_sessions = 5).await;
    let http = http();
    let statuses: Vec<_> = stream::iter(0..50)
        .map(|_| async { open(&http, &server, "test").await.status().as_u16() })
        .buffer_unordered(50)
        .collect()
        .await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
}

#[tokio::test]
async fn handshakes_that_fail_or_are_given_up_leave_nothing_behind() {
    let server = Server::with(|options| options.settings.mcp_max_sessions = 2).await;
    let http = http();
    for _ in 0..5 {
        let response = open(&http, &server, "unwanted").await;
        assert!(response.text().await.unwrap().contains("not wanted"));
        reaches(&server.state.handlers, 0).await;
    }
    for round in 1..=5 {
        let slow = tokio::spawn({
            let (http, url) = (http.clone(), server.url("/mcp"));
            let mut params = initialize_params();
            params["clientInfo"]["name"] = json!("slow");
            let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
            async move { http.post(url).header(header::ACCEPT, ACCEPT).json(&message).send().await }
        });
        reaches(&server.state.begun, round).await;
        slow.abort();
        server.state.release.add_permits(1);
        reaches(&server.state.handlers, 0).await;
    }
    within(async {
        while open(&http, &server, "test").await.status() != 200 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_that_nobody_uses_are_closed_and_those_in_use_are_not() {
    let server = Server::with(|options| options.settings.mcp_session_idle_seconds = 0.1).await;
    let http = http();
    let mut calling = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    let call = calling.call("wait", json!({})).await;
    reaches(&server.state.begun, 1).await;
    let quiet = open(&http, &server, "test").await;
    let call_only = id(&quiet);
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "wait"}});
    let request = http.post(server.url("/mcp")).header(header::ACCEPT, ACCEPT).json(&message);
    let answering = session_headers(request, &call_only).send().await.unwrap();
    reaches(&server.state.begun, 2).await;

    let abandoned = open(&http, &server, "test").await;
    // As this one is closed, those that were opened before it have had time to be.
    reaches(&server.state.handlers, 2).await;
    assert_eq!(status_of(&http, &server, &id(&abandoned)).await, 404);

    server.state.release.add_permits(2);
    assert_eq!(calling.answer(call).await["result"]["content"][0]["text"], "released");
    assert!(answering.text().await.unwrap().contains("released"));
    // The one has a stream to listen on, the other has nothing any more.
    reaches(&server.state.handlers, 1).await;
    assert_eq!(calling.text("echo", json!({"text": "a"})).await, "a");
    assert_eq!(status_of(&http, &server, &call_only).await, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_abandoned_sessions_are_all_gone_after_a_while() {
    let server = Server::with(|options| {
        options.settings.mcp_session_idle_seconds = 10.0;
        options.settings.mcp_max_sessions = 10_000;
    })
    .await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let opening = stream::iter(0..10_000)
        .map(|_| async {
            let response = open(&http, &server, "test").await;
            assert_eq!(response.status(), 200);
            let id = id(&response);
            response.bytes().await.unwrap();
            id
        })
        .buffer_unordered(16);
    let sessions: Vec<_> = opening.collect().await;

    reaches(&server.state.handlers, 0).await;

    let asking =
        stream::iter(&sessions).map(|session| status_of(&http, &server, session)).buffer_unordered(16);
    let statuses: Vec<_> = asking.collect().await;
    assert!(statuses.iter().all(|status| *status == 404));
    assert_eq!(open(&http, &server, "test").await.status(), 200);
}
