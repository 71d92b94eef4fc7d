//! Messages that are none.

use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::{
    client::{Client, Era, LEGACY, Wire, http, initialize_params, session_headers},
    support::Server,
};

/// What is no message, the code of its error, and the id that the error should have.
fn cases() -> [(&'static str, i64, Value); 8] {
    [
        ("{\"jsonrpc\": \"2.0\", ", -32700, Value::Null),
        ("not json", -32700, Value::Null),
        ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600, Value::Null),
        ("[]", -32600, Value::Null),
        ("7", -32600, Value::Null),
        ("{\"jsonrpc\":\"1.0\",\"id\":71,\"method\":\"ping\"}", -32600, json!(71)),
        ("{\"id\":\"s\",\"method\":\"ping\"}", -32600, json!("s")),
        ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", -32600, Value::Null),
    ]
}

#[tokio::test]
async fn over_streams_each_gets_its_error_and_the_session_goes_on() {
    let server = Server::start().await;
    for wire in [Wire::Stdio, Wire::WebSocket] {
        for era in [Era::Legacy, Era::Modern] {
            let mut client = Client::connect(&server, wire, era).await;
            for begun in [false, true] {
                for (text, code, id) in cases() {
                    client.write_text(text.to_owned());
                    let answer = client.next().await;
                    assert_eq!(
                        (&answer["error"]["code"], &answer["id"]),
                        (&json!(code), &id),
                        "{wire:?} {text}"
                    );
                }
                if !begun && era == Era::Legacy {
                    client.initialize().await;
                }
                assert!(client.ask("tools/list", json!({})).await.get("result").is_some(), "{wire:?}");
            }
        }
    }
}

#[tokio::test]
async fn over_requests_each_gets_its_error_with_status_400() {
    let server = Server::start().await;
    let streamable = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    let sse = http().get(server.url("/sse")).send().await.unwrap();
    let endpoint = first_endpoint(sse).await;
    let session = streamable.session().unwrap();
    let http = http();
    for (text, code, id) in cases() {
        let accept = "application/json, text/event-stream";
        let post = || http.post(server.url("/mcp")).header(header::ACCEPT, accept).body(text);
        let json_post = || post().header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        for request in [
            json_post(),
            session_headers(json_post(), session),
            json_post().header("mcp-protocol-version", "2026-07-28"),
            http.post(server.url(&endpoint.0)).body(text),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 400, "{text}");
            let answer: Value = response.json().await.unwrap();
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{text}");
        }
        let other = post().header(header::CONTENT_TYPE, "text/plain").send().await.unwrap();
        assert_eq!(other.status(), 415, "{text}");
        assert_eq!(other.json::<Value>().await.unwrap()["error"]["code"], -32600);
    }
}

/// The first event's address, and the stream, which must stay open.
pub async fn first_endpoint(mut response: reqwest::Response) -> (String, reqwest::Response) {
    let mut text = String::new();
    while !text.contains("\n\n") {
        text.push_str(&String::from_utf8_lossy(&response.chunk().await.unwrap().unwrap()));
    }
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    (data.to_owned(), response)
}

#[tokio::test]
async fn bodies_that_are_too_large_are_answered_with_413_and_the_session_goes_on() {
    let server = Server::start().await;
    let mut streamable = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    let (endpoint, _stream) = first_endpoint(http().get(server.url("/sse")).send().await.unwrap()).await;
    let http = http();
    let session = streamable.session().unwrap().to_owned();
    let small = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": ""}}});
    for (excess, status) in [(0, 200), (1, 413), (100_000, 413), (900_000, 413)] {
        let mut large = small.clone();
        let length = server_limit() + excess - small.to_string().len();
        large["params"]["arguments"]["text"] = json!("x".repeat(length));
        let text = large.to_string();
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
            text.as_bytes().chunks(10_000).map(|piece| Ok(piece.to_vec())).collect();
        let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let post = || {
            let post = http.post(server.url("/mcp")).header(header::CONTENT_TYPE, "application/json");
            session_headers(post.header(header::ACCEPT, "application/json, text/event-stream"), &session)
        };
        for request in
            [post().body(text.clone()), post().body(chunked), http.post(server.url(&endpoint)).body(text)]
        {
            let is_message =
                request.try_clone().is_some_and(|copy| copy.build().unwrap().url().path() == "/message");
            let Ok(response) = request.send().await else {
                assert!(excess > 4 * server_limit(), "who sends much more than that may not see the answer");
                continue;
            };
            let expected = if is_message && status == 200 { 202 } else { status };
            assert_eq!(response.status(), expected, "{excess} more");
            if status == 413 {
                assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], -32600);
            }
        }
    }
    assert_eq!(streamable.text("echo", json!({"text": "a"})).await, "a");
}

fn server_limit() -> usize {
    64 * 1024
}

#[tokio::test]
async fn a_line_that_is_too_long_is_answered_and_the_next_one_too() {
    let server = Server::start().await;
    for length in [(4 << 20) + 20_000, 20 << 20] {
        let mut client = Client::open(&server, Wire::Stdio, Era::Legacy).await;
        client.write_text("x".repeat(length));
        let answer = client.next().await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &Value::Null));
        assert_eq!(client.text("echo", json!({"text": "a"})).await, "a");
    }
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_answered_and_closes_its_connection_only() {
    let server = Server::start().await;
    let mut other = Client::open(&server, Wire::WebSocket, Era::Legacy).await;
    for length in [server_limit() + 1, 10 * server_limit()] {
        let mut client = Client::open(&server, Wire::WebSocket, Era::Legacy).await;
        client.write_text("x".repeat(length));
        assert_eq!(client.next().await["error"]["code"], -32600);
        assert_eq!(client.next().await["closed"], 1009);
    }
    assert_eq!(other.text("echo", json!({"text": "a"})).await, "a");
}

#[tokio::test]
async fn a_handshake_of_another_shape_is_invalid() {
    let server = Server::start().await;
    let mut params = initialize_params();
    params["clientInfo"] = json!("me");
    let message = json!({"jsonrpc": "2.0", "id": 9, "method": "initialize", "params": params});
    let request = http().post(server.url("/mcp")).header(header::ACCEPT, "*/*").json(&message);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let answer: Value = response.json().await.unwrap();
    assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32602), &json!(9)));
    for wire in [Wire::Stdio, Wire::Sse, Wire::WebSocket] {
        let mut client = Client::connect(&server, wire, Era::Legacy).await;
        assert_eq!(client.ask("initialize", params.clone()).await["error"]["code"], -32602, "{wire:?}");
        assert_eq!(client.initialize().await["result"]["protocolVersion"], LEGACY);
    }
}

#[tokio::test]
async fn a_probe_that_is_cancelled_does_not_end_the_session() {
    let server = Server::start().await;
    for wire in [Wire::Stdio, Wire::Sse, Wire::WebSocket] {
        let mut client = Client::connect(&server, wire, Era::Modern).await;
        let probe = client.send("server/discover", json!({})).await;
        assert!(client.answer(probe).await.get("result").is_some());
        let cancelled = json!({"requestId": probe, "reason": "too slow"});
        client
            .write(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}))
            .await;
        client.era = Era::Legacy;
        client.initialize().await;
        assert_eq!(client.text("echo", json!({"text": "a"})).await, "a", "{wire:?}");
    }
}
