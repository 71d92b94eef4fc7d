use std::time::Duration;

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    routing::any,
};
use mcp_transport::{ConnectOptions, Era, connect};
use rmcp::service::ServiceError;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::{address, call, era, legacy_answer, serve, soon};

/// A server of the older era with this to say before it answers a call.
async fn scripted(before: &'static [&'static str], subprotocol: bool) -> String {
    let answer = move |mut socket: WebSocket| async move {
        while let Some(Ok(frame)) = socket.recv().await {
            let Message::Text(text) = frame else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            let Some(answer) = legacy_answer(&message) else { continue };
            if message["method"] == "tools/call" {
                for text in before {
                    let text = text.replace("ID", &message["id"].to_string());
                    socket.send(Message::text(text)).await.unwrap();
                }
                socket.send(Message::binary(vec![0, 159])).await.unwrap();
            }
            socket.send(Message::text(answer.to_string())).await.unwrap();
        }
    };
    let upgrade = any(move |upgrade: WebSocketUpgrade| async move {
        let upgrade = if subprotocol { upgrade.protocols(["mcp"]) } else { upgrade };
        upgrade.on_upgrade(answer)
    });
    format!("ws://{}/ws", serve(Router::new().route("/ws", upgrade)).await)
}

#[tokio::test]
async fn frames_that_are_no_messages_do_no_harm() {
    let noise = &["", "hello", "[]", "{\"id\":", "{\"jsonrpc\": \"2.0\", \"id\": 4711, \"error\": 1}"];
    let place = scripted(noise, true).await;
    let client = connect(&address(place), (), &era(Era::Auto)).await.unwrap();
    assert_eq!(call(&client, "count").await.unwrap(), "called");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_its_call_at_once() {
    let place = scripted(&["{\"jsonrpc\": \"2.0\", \"id\": ID, \"error\": 1}"], true).await;
    let client = connect(&address(place), (), &era(Era::Auto)).await.unwrap();
    let error = call(&client, "count").await.unwrap_err();
    assert!(
        matches!(&error, ServiceError::McpError(error) if error.message.contains("cannot be read")),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_know_the_subprotocol_is_reached_too() {
    let client = connect(&address(scripted(&[], false).await), (), &era(Era::Auto)).await.unwrap();
    assert_eq!(call(&client, "count").await.unwrap(), "called");
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_and_its_calls_fail() {
    let (stalled, stall) = mpsc::channel::<()>(1);
    let silent = any(move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(move |mut socket| async move {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["method"] == "tools/call" {
                    stalled.closed().await; // the socket stays open, but nobody reads it, so pings stay unanswered
                }
                if let Some(answer) = legacy_answer(&message) {
                    socket.send(Message::text(answer.to_string())).await.unwrap();
                }
            }
        })
    });
    let site = serve(Router::new().route("/ws", silent)).await;
    let options = ConnectOptions { keep_alive: Duration::from_millis(200), ..era(Era::Auto) };
    let client = connect(&address(format!("ws://{site}/ws")), (), &options).await.unwrap();
    let error = call(&client, "count").await.unwrap_err();
    assert!(matches!(error, ServiceError::TransportClosed), "{error:?}");
    soon(client.ended()).await;
    drop(stall);
}

#[tokio::test]
async fn a_long_call_is_waited_for_as_long_as_the_server_answers_pings() {
    let patient = any(|upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(frame)) = socket.recv().await {
                let Message::Text(text) = frame else { continue };
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["method"] == "tools/call" {
                    let mut pings = 0;
                    while pings < 3 {
                        pings += usize::from(matches!(socket.recv().await, Some(Ok(Message::Ping(_)))));
                    }
                }
                if let Some(answer) = legacy_answer(&message) {
                    socket.send(Message::text(answer.to_string())).await.unwrap();
                }
            }
        })
    });
    let site = serve(Router::new().route("/ws", patient)).await;
    let options = ConnectOptions { keep_alive: Duration::from_secs(1), ..era(Era::Auto) };
    let client = connect(&address(format!("ws://{site}/ws")), (), &options).await.unwrap();
    assert_eq!(call(&client, "count").await.unwrap(), "called");
}
