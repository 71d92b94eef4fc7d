//! Who is let in.

use reqwest::{RequestBuilder, Response, StatusCode};

use crate::support::{INITIALIZE, Server, message, soon};

/// One request to every path.
fn all_paths(server: &Server) -> Vec<RequestBuilder> {
    let upgrade =
        server.http.get(server.url("/ws")).header("connection", "upgrade").header("upgrade", "websocket");
    let upgrade =
        upgrade.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    vec![
        server.post("/mcp", INITIALIZE),
        server.http.get(server.url("/mcp")).header("accept", "text/event-stream"),
        server.http.get(server.url("/sse")),
        server.post("/message?sessionId=x", "{}"),
        upgrade,
    ]
}

async fn send(request: RequestBuilder) -> Response {
    soon(request.send()).await.unwrap()
}

#[tokio::test]
async fn web_pages_of_other_origins_and_other_names_of_the_server_are_refused_on_every_path() {
    let server = Server::start(&["--mcp-allowed-origins", "https://app.example.com"]).await;
    for request in all_paths(&server) {
        let evil = send(request.header("origin", "http://evil.example")).await;
        assert_eq!(evil.status(), StatusCode::FORBIDDEN, "{}", evil.url());
        assert!(!evil.headers().contains_key("access-control-allow-origin"));
    }
    for request in all_paths(&server) {
        let evil = send(request.header("host", "evil.example")).await;
        assert_eq!(evil.status(), StatusCode::FORBIDDEN, "{}", evil.url());
    }
    for origin in ["http://localhost:3000", "https://app.example.com"] {
        for request in all_paths(&server) {
            let good = send(request.header("origin", origin)).await;
            assert_ne!(good.status(), StatusCode::FORBIDDEN, "{}", good.url());
            assert_eq!(good.headers()["access-control-allow-origin"], origin);
            assert_eq!(good.headers()["vary"], "origin");
        }
    }
}

#[tokio::test]
async fn a_page_that_may_call_can_ask_first() {
    let server = Server::start(&["--mcp-api-key", "secret"]).await;
    let ask = server.http.request(reqwest::Method::OPTIONS, server.url("/mcp"));
    let ask = ask.header("origin", "http://localhost:3000").header("access-control-request-method", "POST");
    let answer = send(ask.header("access-control-request-headers", "authorization, mcp-param-region")).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT, "a question needs no key");
    assert_eq!(answer.headers()["access-control-allow-headers"], "authorization, mcp-param-region");
    assert!(answer.headers()["access-control-allow-methods"].to_str().unwrap().contains("DELETE"));
}

#[tokio::test]
async fn without_the_key_no_path_is_open() {
    let server = Server::start(&["--mcp-api-key", "one,two"]).await;
    for request in all_paths(&server) {
        let refused = send(request.header("authorization", "Bearer wrong")).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{}", refused.url());
        assert_eq!(refused.headers()["www-authenticate"], "Bearer");
        assert!(message(refused).await["error"]["message"].as_str().unwrap().contains("Bearer KEY"));
    }
    for request in all_paths(&server) {
        let open = send(request.header("authorization", "Bearer two")).await;
        assert_ne!(open.status(), StatusCode::UNAUTHORIZED, "{}", open.url());
    }
}

#[tokio::test]
async fn a_session_belongs_to_the_key_that_opened_it() {
    let server = Server::start(&["--mcp-api-key", "one,two"]).await;
    let opened = send(server.post("/mcp", INITIALIZE).bearer_auth("one")).await;
    let id = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let foreign = send(server.in_session(&id, list).bearer_auth("two")).await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    let ended =
        send(server.http.delete(server.url("/mcp")).header("mcp-session-id", &id).bearer_auth("two")).await;
    assert_eq!(ended.status(), StatusCode::FORBIDDEN, "nor can others end it");
    let own = send(server.in_session(&id, list).bearer_auth("one")).await;
    assert_eq!(own.status(), StatusCode::OK);

    let mut stream = send(server.http.get(server.url("/sse")).bearer_auth("one")).await;
    let first = String::from_utf8(soon(stream.chunk()).await.unwrap().unwrap().to_vec()).unwrap();
    let endpoint = first.lines().find_map(|line| line.strip_prefix("data: ")).unwrap().to_owned();
    let foreign = send(server.post(&endpoint, INITIALIZE).bearer_auth("two")).await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    let own = send(server.post(&endpoint, INITIALIZE).bearer_auth("one")).await;
    assert_eq!(own.status(), StatusCode::ACCEPTED);
}
