//! Messages that are too large, and clients that do not read.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::{
    support::{Server, call, message, soon},
    wire::Wire,
};

const LIMIT: usize = 64 * 1024;

fn large() -> String {
    json!({ "jsonrpc": "2.0", "id": 9, "method": "ping", "params": { "padding": "x".repeat(5 << 20) } })
        .to_string()
}

#[tokio::test]
async fn a_line_that_is_too_long_is_answered_and_the_next_one_is_read() {
    let server = Server::start(&[]).await;
    let mut wire = Wire::stdio(&server.events);
    wire.begin().await;
    let answer = wire.ask(&large()).await;
    assert_eq!(answer["error"]["code"], -32_600, "{answer}");
    assert_eq!(wire.ask(&call(1, "echo")).await["result"]["content"][0]["text"], "hi");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let server = Server::start(&["--mcp-max-message-bytes", "65536"]).await;
    let small = "x".repeat(LIMIT + 1);
    let response = soon(server.post("/mcp", small.clone()).send()).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(message(response).await["error"]["code"], -32_600);

    let Wire::Sse { endpoint, http, events: _open } = Wire::sse(&server).await else { unreachable!() };
    let response = soon(http.post(endpoint).body(small).send()).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(message(response).await["error"]["code"], -32_600);
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_socket_and_says_why() {
    let server = Server::start(&["--mcp-max-message-bytes", "65536"]).await;
    let Wire::WebSocket(mut socket) = Wire::web_socket(&server).await else { unreachable!() };
    soon(socket.send(Message::text("x".repeat(LIMIT + 1)))).await.unwrap();
    let Message::Text(text) = soon(socket.next()).await.unwrap().unwrap() else { panic!("no answer") };
    assert!(text.contains("-32600"), "{text}");
    let Message::Close(Some(frame)) = soon(socket.next()).await.unwrap().unwrap() else {
        panic!("not closed")
    };
    assert_eq!(frame.code, CloseCode::Size);
}

#[tokio::test]
async fn a_binary_frame_is_answered() {
    let server = Server::start(&[]).await;
    let Wire::WebSocket(mut socket) = Wire::web_socket(&server).await else { unreachable!() };
    soon(socket.send(Message::binary(vec![1, 2, 3]))).await.unwrap();
    let Message::Text(text) = soon(socket.next()).await.unwrap().unwrap() else { panic!("no answer") };
    assert!(text.contains("text frames"), "{text}");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_else() {
    let server = Server::start(&[]).await;
    for mut wire in [Wire::sse(&server).await, Wire::web_socket(&server).await] {
        wire.begin().await;
        wire.send(&call(1, "chatter")).await;
        soon(server.events.waiting.notified()).await;
        // Nobody reads `wire`, whose queues fill up, and others are answered all the same.
        for _ in 0..50 {
            let answer = soon(server.modern_call("echo").send()).await.unwrap();
            assert_eq!(message(answer).await["result"]["content"][0]["text"], "hi");
        }
        drop(wire);
        soon(server.events.cancelled.notified()).await;
    }
}

#[tokio::test]
async fn a_stream_takes_so_many_messages_and_no_more() {
    let server = Server::start(&[]).await;
    let Wire::Sse { events, endpoint, http } = Wire::sse(&server).await else { unreachable!() };
    let mut wire = Wire::Sse { events, endpoint: endpoint.clone(), http: http.clone() };
    wire.begin().await;
    let mut refused = None;
    for id in 0..2_000 {
        let posted = http.post(&endpoint).body(call(id, "wait"));
        let response = soon(posted.send()).await.unwrap();
        if response.status() != 202 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("there is a bound");
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
}
