//! Messages that are none, and clients that have no place.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    client::{Client, WIRES, Wire},
    support::{Server, reaches},
};

#[tokio::test]
async fn each_gets_its_error_and_the_conversation_goes_on() {
    let server = Server::start().await;
    for wire in WIRES {
        let mut client = Client::connect(&server, wire).await;
        for (text, code, id) in [
            ("{\"jsonrpc\": \"2.0\", ", -32700, Value::Null),
            ("[]", -32600, Value::Null),
            ("7", -32600, Value::Null),
            ("{\"jsonrpc\":\"1.0\",\"id\":71,\"method\":\"ping\"}", -32600, json!(71)),
            ("{\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"m\",\"params\":[]}", -32602, json!("s")),
            ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", -32600, Value::Null),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}", -32600, Value::Null),
        ] {
            client.write(text);
            let answer = client.next().await;
            assert_eq!(answer["error"]["code"], code, "{wire:?} {text}");
            assert_eq!(answer.get("id").cloned().unwrap_or_default(), id, "{wire:?} {text}");
            assert!(!id.is_null() || answer.get("id").is_none(), "{wire:?} {text}");
        }
        assert_eq!(client.ask(1, "echo").await, json!({}), "{wire:?}");
    }
}

#[tokio::test]
async fn empty_lines_and_a_byte_order_mark_are_passed_over_and_long_lines_are_refused() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, Wire::Streams).await;
    client.write("\n  \r\n\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{}}");
    assert_eq!(client.next().await["id"], 1);
    client.write(format!("{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"{}\"}}", "m".repeat(5 << 20)));
    let refused = client.next().await;
    assert!(
        refused["error"]["message"].as_str().unwrap().starts_with("the message is larger than"),
        "{refused}"
    );
    assert_eq!(client.ask(3, "echo").await, json!({}));
}

#[tokio::test]
async fn a_client_without_a_place_is_put_off_until_there_is_one() {
    let server =
        Server::with(mcp_transport::Timing::default(), |settings| settings.mcp_max_sessions = 1).await;
    let client = Client::connect(&server, Wire::Sse).await;
    for path in ["/sse", "/ws"] {
        let upgrade = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = upgrade.get(format!("http://{}{path}", server.address));
        let request = request
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    drop(client);
    reaches(&server.fixture.sessions, 0).await;
    let mut client = Client::connect(&server, Wire::WebSocket).await;
    assert_eq!(client.ask(1, "echo").await, json!({}));
}
