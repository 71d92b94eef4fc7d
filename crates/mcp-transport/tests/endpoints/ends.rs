//! How conversations end.

use std::time::Duration;

use mcp_transport::{Timing, serve_endpoint_streams};
use serde_json::json;
use tokio::io::{AsyncWriteExt as _, duplex};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Client, WIRES, Wire},
    support::{Fixture, Server, reaches, within},
};

#[tokio::test]
async fn when_a_client_goes_its_requests_are_dropped_at_once_and_it_is_forgotten() {
    let timing = Timing { grace: Duration::from_secs(3_600), ..Timing::default() };
    let server = Server::with(timing, |_| {}).await;
    for wire in [Wire::Sse, Wire::WebSocket] {
        let client = Client::connect(&server, wire).await;
        client.request(1, "wait", &json!({}));
        reaches(&server.fixture.running, 1).await;
        drop(client);
        reaches(&server.fixture.running, 0).await;
        reaches(&server.fixture.sessions, 0).await;
    }
}

#[tokio::test]
async fn when_the_input_ends_requests_in_flight_are_answered_and_listeners_are_let_go() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, Wire::Streams).await;
    client.request(1, "wait", &json!({}));
    client.request("l", "subscriptions/listen", &json!({}));
    assert_eq!(client.next().await["method"], "notifications/subscriptions/acknowledged");
    client.end_input();
    let farewell = client.next().await;
    assert_eq!((&farewell["id"], &farewell["result"]["resultType"]), (&json!("l"), &json!("complete")));
    server.fixture.release.add_permits(1);
    assert_eq!(client.next().await["result"], "released");
    assert_eq!(client.text().await, None);
    within(client.served.take().unwrap()).await.unwrap().unwrap();
    reaches(&server.fixture.sessions, 0).await;
}

#[tokio::test]
async fn an_input_that_ends_before_any_request_is_no_error() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, Wire::Streams).await;
    client.end_input();
    within(client.served.take().unwrap()).await.unwrap().unwrap();
    assert_eq!(client.text().await, None);
}

#[tokio::test]
async fn requests_in_flight_are_answered_before_the_server_stops_and_new_ones_are_not() {
    for wire in WIRES {
        let server = Server::start().await;
        let mut client = Client::connect(&server, wire).await;
        client.request(1, "wait", &json!({}));
        client.request(2, "subscriptions/listen", &json!({}));
        assert_eq!(client.next().await["method"], "notifications/subscriptions/acknowledged", "{wire:?}");
        server.stop.cancel();
        assert_eq!(client.next().await["id"], 2, "{wire:?}");
        if wire != Wire::Sse {
            client.request(3, "echo", &json!({})); // the end of the connection is its answer
        }
        server.fixture.release.add_permits(1);
        assert_eq!(client.next().await["id"], 1, "{wire:?}");
        assert_eq!(client.text().await, None, "{wire:?}");
        let fixture = server.end().await;
        reaches(&fixture.sessions, 0).await;
    }
}

#[tokio::test]
async fn requests_that_never_end_are_dropped_after_the_grace_period() {
    for wire in WIRES {
        let timing = Timing { grace: Duration::from_millis(50), ..Timing::default() };
        let server = Server::with(timing, |_| {}).await;
        let mut client = Client::connect(&server, wire).await;
        client.request(1, "wait", &json!({}));
        reaches(&server.fixture.running, 1).await;
        let fixture = server.end().await;
        assert_eq!(client.text().await, None, "{wire:?}");
        reaches(&fixture.running, 0).await;
        reaches(&fixture.sessions, 0).await;
    }
}

/// A pipe that is full, and whose reader does neither read nor hang up, must not keep a program alive.
#[tokio::test]
async fn a_pipe_that_nobody_reads_holds_up_the_flood_but_not_the_end() {
    for stops in [false, true] {
        let fixture = Fixture::new();
        let (input, mut to_server) = duplex(1 << 20);
        let (output, from_server) = duplex(64);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let grace = Duration::from_millis(50);
        let serving = tokio::spawn(serve_endpoint_streams(fixture.clone(), (input, output), grace, stopped));
        to_server.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"flood\"}\n").await.unwrap();
        within(fixture.flooded.subscribe().wait_for(|count| *count > 10)).await.unwrap();
        if stops {
            stop.cancel();
        } else {
            drop(to_server);
        }
        within(serving).await.unwrap().unwrap();
        reaches(&fixture.running, 0).await;
        // A mebibyte waits, and one that was being written.
        let flooded = *fixture.flooded.borrow();
        assert!(flooded < 50, "{flooded}");
        drop(from_server);
    }
}

#[tokio::test]
async fn a_pipe_whose_reader_has_gone_ends_the_conversation() {
    let fixture = Fixture::new();
    let (input, mut to_server) = duplex(1 << 16);
    let (output, from_server) = duplex(64);
    let streams = (input, output);
    let serving = tokio::spawn(serve_endpoint_streams(
        fixture.clone(),
        streams,
        Duration::ZERO,
        std::future::pending(),
    ));
    drop(from_server);
    to_server.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"flood\"}\n").await.unwrap();
    within(serving).await.unwrap().unwrap();
    reaches(&fixture.sessions, 0).await;
}

#[tokio::test]
async fn a_connection_that_nobody_reads_is_cut_and_its_requests_dropped() {
    let timing = Timing { stall: Duration::from_millis(300), ..Timing::default() };
    let server = Server::with(timing, |_| {}).await;
    let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(
        format!("ws://{}/ws", server.address),
    )
    .unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "mcp".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let flood = r#"{"jsonrpc":"2.0","id":1,"method":"flood"}"#;
    futures_util::SinkExt::send(&mut socket, tokio_tungstenite::tungstenite::Message::text(flood))
        .await
        .unwrap();
    reaches(&server.fixture.running, 1).await;
    reaches(&server.fixture.running, 0).await;
    reaches(&server.fixture.sessions, 0).await;
    assert!(*server.fixture.flooded.borrow() * 50_000 < 32 << 20);
}
