//! Paths, methods and headers.

use std::time::Duration;

use reqwest::{Method, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    client::{Client, Era, MODERN, Wire, add_metadata, http, initialize_params, session_headers},
    support::{Server, within},
};

#[tokio::test]
async fn unknown_paths_and_methods_are_told_in_json() {
    let server = Server::start().await;
    let http = http();
    for path in ["/", "/mcp/", "/mcp/x", "/ssee", "/.well-known/oauth-protected-resource"] {
        let response = http.get(server.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], -32600);
    }
    for (method, path, allow) in [
        (Method::PUT, "/mcp", "GET, POST, DELETE"),
        (Method::PATCH, "/mcp", "GET, POST, DELETE"),
        (Method::POST, "/sse", "GET,HEAD"),
        (Method::GET, "/message", "POST"),
        (Method::DELETE, "/message", "POST"),
        (Method::POST, "/ws", "GET,HEAD"),
    ] {
        let response = http.request(method.clone(), server.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 405, "{method} {path}");
        assert_eq!(response.headers()["allow"], allow, "{method} {path}");
        assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], -32600);
    }
}

#[tokio::test]
async fn a_plain_request_for_a_websocket_is_told_so() {
    let server = Server::start().await;
    let response = http().get(server.url("/ws")).send().await.unwrap();
    assert!(response.status().is_client_error());
    assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], -32600);
}

#[tokio::test]
async fn a_client_that_takes_anything_is_served() {
    let server = Server::start().await;
    let http = http();
    let mut params = json!({});
    add_metadata(&mut params);
    let modern = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params});
    let legacy = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize_params()});
    for accept in ["*/*", "text/html, */*;q=0.8", "application/json, text/event-stream"] {
        let post =
            |message: &Value| http.post(server.url("/mcp")).header(header::ACCEPT, accept).json(message);
        let response = post(&legacy).send().await.unwrap();
        assert_eq!(response.status(), 200, "{accept}");
        let request = post(&modern).header("mcp-protocol-version", MODERN).header("mcp-method", "tools/list");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{accept}");
    }
    let response =
        http.post(server.url("/mcp")).header(header::ACCEPT, "text/html").json(&legacy).send().await.unwrap();
    assert_eq!(response.status(), 406);
    let answer: Value = response.json().await.unwrap();
    assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &json!(1)));
}

#[tokio::test]
async fn event_streams_are_not_held_back_and_not_kept() {
    let server = Server::start().await;
    let mut client = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    let session = client.session().unwrap().to_owned();
    let http = http();
    let accept = "application/json, text/event-stream";
    let call = json!({"jsonrpc": "2.0", "id": 77, "method": "tools/list"});
    let mut params = json!({"notifications": {"toolsListChanged": true}});
    add_metadata(&mut params);
    let listen = json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params});
    let post = || http.post(server.url("/mcp")).header(header::ACCEPT, accept);
    for request in [
        http.get(server.url("/sse")),
        session_headers(http.get(server.url("/mcp")).header(header::ACCEPT, accept), &session),
        session_headers(post().json(&call), &session),
        post()
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", "subscriptions/listen")
            .json(&listen),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert_eq!(response.headers()["cache-control"], "no-cache");
    }
    assert_eq!(client.text("echo", json!({"text": "a"})).await, "a");
}

#[tokio::test]
async fn only_clients_that_know_them_get_events_without_a_message() {
    let server = Server::start().await;
    let http = http();
    for (version, primes) in
        [("2024-11-05", false), ("2025-03-26", false), ("2025-06-18", false), ("2025-11-25", true)]
    {
        let accept = "application/json, text/event-stream";
        let post =
            |message: &Value| http.post(server.url("/mcp")).header(header::ACCEPT, accept).json(message);
        let mut params = initialize_params();
        params["protocolVersion"] = json!(version);
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let response = post(&message).send().await.unwrap();
        let session = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let ours = |request: reqwest::RequestBuilder| {
            request.header("mcp-session-id", &session).header("mcp-protocol-version", version)
        };
        let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
        let answered = ours(post(&call)).send().await.unwrap().text().await.unwrap();
        assert_eq!(
            answered.starts_with("data:\n")
                || answered.contains("\ndata:\n")
                || answered.contains("data: \n"),
            primes,
            "{version}: {answered}"
        );

        let mut listening =
            ours(http.get(server.url("/mcp")).header(header::ACCEPT, accept)).send().await.unwrap();
        server.state.subscribers.changed(&mcp_transport::Change::Tools); // nobody joined: initialized was not said
        ours(post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))).send().await.unwrap();
        let mut text = String::new();
        while !text.contains("list_changed") {
            server.state.subscribers.changed(&mcp_transport::Change::Tools);
            text.push_str(&String::from_utf8_lossy(&within(listening.chunk()).await.unwrap().unwrap()));
            if primes && !text.contains("list_changed") {
                assert!(text.contains("retry: 3000") || text.contains("retry:3000"), "{text}");
            }
        }
        assert_eq!(text.contains("retry"), primes, "{version}: {text}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let server = Server::with(|options| options.timing.idle = Duration::from_millis(100)).await;
    let (endpoint, _stream) =
        crate::malformed::first_endpoint(http().get(server.url("/sse")).send().await.unwrap()).await;
    for path in ["/mcp", &endpoint] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(socket.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
        assert!(answer.contains("-32600"), "{path}: {answer}");
    }
}
