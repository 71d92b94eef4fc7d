//! The end of a call, of a session and of the server.

use serde_json::json;

use crate::{
    support::{INITIALIZED, META, Server, call, message, soon},
    wire::Wire,
};

#[tokio::test]
async fn a_client_that_hangs_up_in_a_call_cancels_it() {
    let server = Server::start(&[]).await;
    for mut wire in [Wire::sse(&server).await, Wire::web_socket(&server).await] {
        wire.begin().await;
        wire.send(&call(1, "wait")).await;
        soon(server.events.waiting.notified()).await;
        drop(wire);
        soon(server.events.cancelled.notified()).await;
    }
    let calling = tokio::spawn(server.modern_call("wait").send());
    soon(server.events.waiting.notified()).await;
    calling.abort();
    soon(server.events.cancelled.notified()).await;
}

#[tokio::test]
async fn a_cancelled_call_is_told() {
    let server = Server::start(&[]).await;
    let cancelled =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    for (_, mut wire) in Wire::all(&server).await {
        wire.send(&call(1, "wait")).await;
        soon(server.events.waiting.notified()).await;
        wire.send(&cancelled.to_string()).await;
        soon(server.events.cancelled.notified()).await;
    }
}

#[tokio::test]
async fn a_call_in_flight_is_answered_when_the_server_stops() {
    for transport in ["SSE", "WebSocket", "modern", "session"] {
        let server = Server::start(&[]).await;
        let answer = match transport {
            "modern" => {
                let sent = tokio::spawn(server.modern_call("hold").send());
                tokio::spawn(async move { message(sent.await.unwrap().unwrap()).await })
            }
            "session" => {
                let id = server.session().await;
                let sent = tokio::spawn(server.in_session(&id, call(1, "hold")).send());
                tokio::spawn(async move { message(sent.await.unwrap().unwrap()).await })
            }
            _ => {
                let mut wire = if transport == "SSE" {
                    Wire::sse(&server).await
                } else {
                    Wire::web_socket(&server).await
                };
                wire.begin().await;
                wire.send(&call(1, "hold")).await;
                tokio::spawn(async move {
                    let answer = wire.receive().await;
                    assert!(soon(wire.next()).await.is_none(), "the conversation ends with the server");
                    answer
                })
            }
        };
        soon(server.events.waiting.notified()).await;
        server.stop();
        server.events.release.notify_one();
        let answer = soon(answer).await.unwrap();
        assert_eq!(answer["result"]["content"][0]["text"], "released", "{transport}");
        server.stopped().await;
    }
}

#[tokio::test]
async fn streams_that_only_listen_end_at_once_when_the_server_stops() {
    let server = Server::start(&[]).await;
    let id = server.session().await;
    let listen = server.http.get(server.url("/mcp")).header("accept", "text/event-stream");
    let listening = listen.header("mcp-session-id", &id).header("mcp-protocol-version", "2025-11-25");
    let listening = soon(listening.send()).await.unwrap();
    let subscribe =
        server.modern(7, "subscriptions/listen", None, r#""notifications":{"toolsListChanged":true}"#);
    let subscribed = soon(subscribe.send()).await.unwrap();
    let mut idle = Wire::web_socket(&server).await;
    idle.begin().await;

    server.stop();
    soon(listening.bytes()).await.unwrap();
    let last = message(subscribed).await;
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!(7), &json!("complete")), "{last}");
    assert!(soon(idle.next()).await.is_none());
    server.stopped().await;
}

#[tokio::test]
async fn the_end_of_stdin_is_a_good_end_at_any_moment() {
    let server = Server::start(&[]).await;
    let probe = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{META}}}}}"#);
    for said in [&[][..], &["{"], &[&*probe], &[INITIALIZED]] {
        let (mut wire, end) = Wire::stdio_with_end(&server.events);
        for text in said {
            wire.send(text).await;
        }
        drop(wire);
        assert_eq!(soon(end).await.unwrap(), Ok(()), "{said:?}");
    }
    let (mut wire, end) = Wire::stdio_with_end(&server.events);
    wire.begin().await;
    drop(wire);
    assert_eq!(soon(end).await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_call_in_flight_is_answered_after_the_end_of_stdin() {
    let server = Server::start(&[]).await;
    let (mut wire, end) = Wire::stdio_with_end(&server.events);
    wire.begin().await;
    wire.send(&call(1, "hold")).await;
    soon(server.events.waiting.notified()).await;
    let Wire::Stdio(input, output) = wire else { unreachable!() };
    drop(output);
    server.events.release.notify_one();
    let mut wire = Wire::Stdio(input, tokio::io::duplex(1).0);
    assert_eq!(wire.receive().await["result"]["content"][0]["text"], "released");
    assert_eq!(soon(end).await.unwrap(), Ok(()));
}

#[tokio::test]
async fn the_end_of_stdin_ends_streams_that_only_listen() {
    let server = Server::start(&[]).await;
    let (mut wire, end) = Wire::stdio_with_end(&server.events);
    let listen = format!(
        r#"{{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{{"notifications":{{"toolsListChanged":true}},{META}}}}}"#
    );
    assert_eq!(wire.ask(&listen).await["method"], "notifications/subscriptions/acknowledged");
    let Wire::Stdio(input, output) = wire else { unreachable!() };
    drop(output);
    let mut wire = Wire::Stdio(input, tokio::io::duplex(1).0);
    assert_eq!(wire.receive().await["id"], 5, "the listening stream ends with its result");
    assert_eq!(soon(end).await.unwrap(), Ok(()));
}
