//! Requests that do not say, or not rightly, of which era they are.

use reqwest::{RequestBuilder, header};
use serde_json::{Value, json};

use crate::{
    client::{Client, Era, MODERN, Wire, add_metadata, http},
    support::Server,
};

fn request(method: &str, mut params: Value) -> Value {
    add_metadata(&mut params);
    json!({"jsonrpc": "2.0", "id": 5, "method": method, "params": params})
}

fn post(server: &Server, message: &Value) -> RequestBuilder {
    http().post(server.url("/mcp")).header(header::ACCEPT, "*/*").json(message)
}

async fn error(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_modern_request_without_its_metadata_is_invalid() {
    let server = Server::start().await;
    for missing in ["protocolVersion", "clientCapabilities"] {
        let mut message = request("tools/list", json!({}));
        message["params"]["_meta"]
            .as_object_mut()
            .unwrap()
            .remove(&format!("io.modelcontextprotocol/{missing}"));
        let sent =
            post(&server, &message).header("mcp-protocol-version", MODERN).header("mcp-method", "tools/list");
        let (status, answer) = error(sent).await;
        assert_eq!(
            (status, &answer["error"]["code"], &answer["id"]),
            (400, &json!(-32602), &json!(5)),
            "{missing}"
        );

        for wire in [Wire::Stdio, Wire::Sse, Wire::WebSocket] {
            let mut client = Client::connect(&server, wire, Era::Legacy).await; // which adds nothing
            let answer = client.ask("tools/list", message["params"].clone()).await;
            assert_eq!(answer["error"]["code"], -32602, "{wire:?} {missing}");
        }
    }
}

#[tokio::test]
async fn a_version_that_is_not_spoken_is_answered_with_those_that_are() {
    let server = Server::start().await;
    let version = "2099-01-01";
    let mut message = request("tools/list", json!({}));
    message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(version);
    let sent =
        post(&server, &message).header("mcp-protocol-version", version).header("mcp-method", "tools/list");
    let (status, answer) = error(sent).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32022)));
    assert!(answer["error"]["data"]["supported"].as_array().unwrap().contains(&json!(MODERN)), "{answer}");

    for wire in [Wire::Stdio, Wire::Sse, Wire::WebSocket] {
        for begun in [false, true] {
            let mut client = Client::connect(&server, wire, Era::Modern).await;
            if begun {
                client.text("echo", json!({})).await;
            }
            client.era = Era::Legacy; // which adds nothing
            let answer = client.ask("tools/list", message["params"].clone()).await;
            assert_eq!(answer["error"]["code"], -32022, "{wire:?}: {answer}");
            client.era = Era::Modern;
            assert_eq!(client.text("echo", json!({"text": "a"})).await, "a", "{wire:?}");
        }
    }
}

#[tokio::test]
async fn headers_that_contradict_the_body_are_a_mismatch() {
    let server = Server::start().await;
    let list = request("tools/list", json!({}));
    let call = request("tools/call", json!({"name": "echo", "arguments": {}}));
    for (message, headers) in [
        (&list, vec![("mcp-protocol-version", "2025-11-25"), ("mcp-method", "tools/list")]),
        (&list, vec![("mcp-protocol-version", MODERN)]),
        (&list, vec![("mcp-method", "tools/list")]),
        (&list, vec![("mcp-protocol-version", MODERN), ("mcp-method", "tools/call")]),
        (&call, vec![("mcp-protocol-version", MODERN), ("mcp-method", "tools/call")]),
        (&call, vec![("mcp-protocol-version", MODERN), ("mcp-method", "tools/call"), ("mcp-name", "wait")]),
    ] {
        let sent =
            headers.iter().fold(post(&server, message), |sent, (name, value)| sent.header(*name, *value));
        let (status, answer) = error(sent).await;
        assert_eq!(
            (status, &answer["error"]["code"], &answer["id"]),
            (400, &json!(-32020), &json!(5)),
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn methods_of_the_other_era_are_not_found() {
    let server = Server::start().await;
    for wire in [Wire::Stdio, Wire::Streamable, Wire::Sse, Wire::WebSocket] {
        let mut modern = Client::open(&server, wire, Era::Modern).await;
        modern.text("echo", json!({})).await;
        for (method, params) in [
            ("ping", json!({})),
            ("logging/setLevel", json!({"level": "info"})),
            ("resources/subscribe", json!({"uri": "a://1"})),
        ] {
            assert_eq!(modern.ask(method, params).await["error"]["code"], -32601, "{wire:?} {method}");
        }
        let mut legacy = Client::open(&server, wire, Era::Legacy).await;
        let listen = json!({"notifications": {"toolsListChanged": true}});
        assert_eq!(legacy.ask("subscriptions/listen", listen).await["error"]["code"], -32601, "{wire:?}");
        assert!(legacy.ask("ping", json!({})).await.get("result").is_some(), "{wire:?}");
    }
}

#[tokio::test]
async fn a_modern_client_has_no_use_for_sessions() {
    let server = Server::start().await;
    let http = http();
    for request in [http.get(server.url("/mcp")), http.delete(server.url("/mcp"))] {
        let request =
            request.header("mcp-protocol-version", MODERN).header(header::ACCEPT, "text/event-stream");
        let response = request.header("mcp-session-id", "none").send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
}
