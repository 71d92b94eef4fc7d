//! Calls that are called off, and clients that go away.

use std::sync::Arc;

use rmcp::{
    RoleClient,
    model::{CallToolRequest, ClientRequest},
    service::{PeerRequestOptions, RequestHandle},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    sync::Notify,
};

use crate::{
    provider::{Provider, Script},
    support::{Client, request, start},
};

async fn begin(client: &Client, tool: &str) -> RequestHandle<RoleClient> {
    let call = CallToolRequest::new(request(tool, json!({"message": "What is Python?"})));
    let call = ClientRequest::CallToolRequest(call);
    client.service.send_cancellable_request(call, PeerRequestOptions::no_options()).await.unwrap()
}

#[tokio::test]
async fn a_cancelled_call_cancels_the_call_to_the_provider_and_is_recorded() {
    for (tool, script, answer) in [
        ("process_message", Script::Silence, json!(null)),
        ("process_message_stream", Script::Stall(&["a "]), json!("a ")),
    ] {
        let mut provider = Provider::new([script]).await;
        let mut server = start(&["stdio"], &provider.settings());
        let mut client = server.client().await;
        let call = begin(&client, tool).await;
        let seen = provider.next().await;
        if answer != json!(null) {
            client.progress.recv().await.unwrap();
        }

        call.cancel(None).await.unwrap();

        seen.over.await.unwrap();
        let page = client.received(1).await;
        let message = &page["messages"][0];
        assert_eq!((&message["status"], &message["aiResponse"]), (&json!("cancelled"), &answer));
        assert!(message["tokens"].as_u64().unwrap() > 0, "it may be on the bill: {message}");
        server.logged("error.code=\"cancelled\"").await;
        assert!(server.rest().await.text("/metrics").await.contains("server_b_messages_in_flight 0"));
    }
}

#[tokio::test]
async fn calls_of_both_faces_are_answered_when_the_server_is_told_to_stop_and_when_the_client_leaves() {
    for by_signal in [true, false] {
        if by_signal && !cfg!(unix) {
            continue;
        }
        let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let mut provider = Provider::new([Script::When(first.clone()), Script::When(second.clone())]).await;
        let mut settings = provider.settings();
        settings.push(("RUST_LOG", "info,http_server=info")); // says when it stops
        let mut server = start(&["stdio"], &settings);
        let rest = server.rest().await;
        let (input, mut output) = (server.child.stdout.take().unwrap(), server.child.stdin.take().unwrap());
        output.write_all(call("process_message").as_bytes()).await.unwrap();
        provider.next().await;
        let by_rest = tokio::spawn(async move { rest.process(json!({"message": "b"})).await });
        provider.next().await;

        if by_signal {
            server.signal("-TERM").await;
        } else {
            drop(output);
        }
        first.notify_one();
        let mut lines = BufReader::new(input).lines();
        lines.next_line().await.unwrap(); // of the handshake
        let answer: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        assert_eq!(answer["result"]["structuredContent"]["aiResponse"], "a language", "{answer}");
        server.logged("requests in flight may finish").await;
        second.notify_one();
        assert_eq!(by_rest.await.unwrap()["aiResponse"], "a language");
        assert_eq!(server.code().await, Some(0));
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_does_not_hold_a_stream_for_ever() {
    let mut provider = Provider::new([Script::Endless]).await;
    let mut settings = provider.settings();
    settings.extend([("STREAM_STALL_SECONDS", "0.05"), ("MAX_CONCURRENT_REQUESTS", "1")]);
    let mut server = start(&["stdio"], &settings);
    let mut output = server.child.stdin.take().unwrap();
    output.write_all(call("process_message_stream").as_bytes()).await.unwrap();

    provider.next().await.over.await.unwrap();

    server.logged("error.code=\"cancelled\"").await;
    let answered = server.rest().await.process(json!({"message": "b"})).await;
    assert_eq!(answered["aiResponse"], "a language", "the place is free: {answered}");
}

/// A handshake and a call that wants progress, as lines.
fn call(tool: &str) -> String {
    let client = json!({"name": "test", "version": "1"});
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    let call = json!({"name": tool, "arguments": {"message": "a"}, "_meta": {"progressToken": 1}});
    let lines = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}),
    ];
    lines.map(|line| format!("{line}\n")).concat()
}
