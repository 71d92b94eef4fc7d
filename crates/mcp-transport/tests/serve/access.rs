//! Who may call: names of the server, pages, and keys.

use reqwest::{Method, RequestBuilder, header};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite};

use crate::{
    client::{LEGACY, http, initialize_params, ws_request},
    malformed::first_endpoint,
    support::Server,
};

const PATHS: [(&str, &str); 7] = [
    ("POST", "/mcp"),
    ("GET", "/mcp"),
    ("DELETE", "/mcp"),
    ("GET", "/sse"),
    ("POST", "/message?sessionId=none"),
    ("GET", "/ws"),
    ("GET", "/nowhere"),
];

async fn guarded() -> Server {
    Server::with(|options| {
        options.settings.mcp_api_key = Some(SecretString::from("first, second"));
        options.settings.mcp_allowed_origins = vec!["https://app.example.com".to_owned()];
        options.settings.mcp_allowed_hosts = vec!["mcp.example.com".to_owned()];
    })
    .await
}

/// A request to each path, with a key.
fn requests(server: &Server) -> Vec<RequestBuilder> {
    let request = |(method, path): (&str, &str)| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        http().request(method, server.url(path)).header(header::AUTHORIZATION, "Bearer first").body("{")
    };
    PATHS.into_iter().map(request).collect()
}

#[tokio::test]
async fn evil_names_and_pages_are_refused_on_every_path() {
    let server = guarded().await;
    for request in requests(&server) {
        for (name, value) in [
            (header::HOST, "evil.example.com"),
            (header::HOST, "127.0.0.1.evil.example.com"),
            (header::ORIGIN, "http://evil.example.com"),
            (header::ORIGIN, "http://app.example.com"), // another scheme
            (header::ORIGIN, "null"),
        ] {
            let request = request.try_clone().unwrap().header(&name, value);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 403, "{} {name} {value}", response.url());
            assert!(response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_none());
            assert_eq!(response.headers()["vary"], "origin");
            assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], -32600);
        }
    }
    let mut upgrade = ws_request(&server);
    upgrade.headers_mut().insert("origin", "http://evil.example.com".parse().unwrap());
    let Err(tungstenite::Error::Http(refused)) = connect_async(upgrade).await else {
        panic!("it was let in")
    };
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn pages_that_may_call_can_read_the_answers() {
    let server = guarded().await;
    for request in requests(&server) {
        for origin in ["https://app.example.com", "http://localhost:5173", "http://[::1]"] {
            let request = request.try_clone().unwrap().header(header::ORIGIN, origin);
            let response = request.header(header::HOST, "mcp.example.com").send().await.unwrap();
            assert_ne!(response.status(), 403, "{}", response.url());
            let headers = response.headers();
            assert_eq!(headers["access-control-allow-origin"], origin);
            assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("mcp-session-id"));
            assert_eq!(headers["vary"], "origin");
        }
    }
}

#[tokio::test]
async fn pages_may_ask_before_they_call_and_need_no_key_for_that() {
    let server = guarded().await;
    for (method, path) in PATHS {
        let ask = |origin: &str| {
            let request = http().request(Method::OPTIONS, server.url(path)).header(header::ORIGIN, origin);
            let request = request.header("access-control-request-method", method);
            request.header("access-control-request-headers", "mcp-param-city, authorization")
        };
        let allowed = ask("https://app.example.com").send().await.unwrap();
        assert_eq!(allowed.status(), 204, "{path}");
        assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example.com");
        assert!(allowed.headers()["access-control-allow-methods"].to_str().unwrap().contains("DELETE"));
        assert_eq!(allowed.headers()["access-control-allow-headers"], "mcp-param-city, authorization");
        assert_eq!(ask("https://evil.example.com").send().await.unwrap().status(), 403, "{path}");
    }
}

#[tokio::test]
async fn without_a_key_every_path_is_closed() {
    let server = guarded().await;
    for (method, path) in PATHS {
        for key in
            [None, Some("Bearer third"), Some("Bearer "), Some("Basic first"), Some("Bearer first, second")]
        {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = http().request(method, server.url(path)).header(header::ORIGIN, "http://localhost");
            let request =
                key.into_iter().fold(request, |request, key| request.header(header::AUTHORIZATION, key));
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401, "{path} {key:?}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            assert_eq!(response.headers()["access-control-allow-origin"], "http://localhost");
        }
    }
    let Err(tungstenite::Error::Http(refused)) = connect_async(ws_request(&server)).await else {
        panic!("it was let in")
    };
    assert_eq!(refused.status(), 401);
    let mut upgrade = ws_request(&server);
    upgrade.headers_mut().insert("authorization", "Bearer second".parse().unwrap());
    assert!(connect_async(upgrade).await.is_ok());
}

#[tokio::test]
async fn a_session_belongs_to_the_key_that_opened_it() {
    let server = guarded().await;
    let http = http();
    let stream =
        http.get(server.url("/sse")).header(header::AUTHORIZATION, "Bearer first").send().await.unwrap();
    let (endpoint, _stream) = first_endpoint(stream).await;
    let initialize =
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize_params()});
    let accept = "application/json, text/event-stream";
    let post = |key: &str| {
        http.post(server.url("/mcp")).header(header::AUTHORIZATION, key).header(header::ACCEPT, accept)
    };
    let opened = post("Bearer first").json(&initialize).send().await.unwrap();
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();

    for (key, expected) in [("Bearer second", [403; 4]), ("bearer  first", [202, 200, 200, 202])] {
        let message = http.post(server.url(&endpoint)).header(header::AUTHORIZATION, key).json(&initialize);
        let call = post(key).json(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}));
        let listen =
            http.get(server.url("/mcp")).header(header::AUTHORIZATION, key).header(header::ACCEPT, accept);
        let end = http.delete(server.url("/mcp")).header(header::AUTHORIZATION, key);
        let mut statuses = vec![];
        for request in [message, call, listen, end] {
            let request = request.header("mcp-session-id", &session).header("mcp-protocol-version", LEGACY);
            statuses.push(request.send().await.unwrap().status().as_u16());
        }
        assert_eq!(statuses, expected, "{key}");
    }
}

#[tokio::test]
async fn where_no_key_is_needed_clients_may_change_what_they_show() {
    let server = Server::start().await;
    let http = http();
    let stream = http.get(server.url("/sse")).header(header::AUTHORIZATION, "Bearer a").send().await.unwrap();
    let (endpoint, _stream) = first_endpoint(stream).await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let request = http.post(server.url(&endpoint)).header(header::AUTHORIZATION, "Bearer b").json(&message);
    assert_eq!(request.send().await.unwrap().status(), 202);
}
