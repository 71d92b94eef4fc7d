//! Clients that do not read, and clients that do not answer.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{client_async, tungstenite::Message};

use crate::{
    client::{Client, Era, LEGACY, MODERN, Wire, add_metadata, http, initialize_params, ws_request},
    support::{Server, State, reaches, within},
};

/// Bytes of one message, and how many of them fill every buffer on the way to a client that does not read.
const BYTES: usize = 50_000;

async fn stalling() -> Server {
    Server::with(|options| options.timing.stall = Duration::from_millis(300)).await
}

/// A connection with small buffers.
async fn connection(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(server.address).await.unwrap()
}

fn flood(era: Era) -> serde_json::Value {
    let mut params = json!({"name": "flood", "arguments": {"bytes": BYTES}, "_meta": {"progressToken": "p"}});
    if era == Era::Modern {
        add_metadata(&mut params);
    }
    json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params})
}

fn post(path: &str, headers: &str, message: &serde_json::Value) -> String {
    let body = message.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The flood stops by itself, others are served meanwhile, and at last nothing is left.
async fn is_bounded_and_ends(server: &Server, wire: Wire) {
    within(server.state.flooded.subscribe().wait_for(|count| *count > 0)).await.unwrap();
    let mut other = Client::open(server, Wire::WebSocket, Era::Modern).await;
    assert_eq!(other.text("echo", json!({"text": "a"})).await, "a", "{wire:?}");
    within(server.state.cancelled.subscribe().wait_for(|count| *count > 0)).await.unwrap();
    // What was written went into the buffers of both systems and of the session, and they have bounds.
    let written = *server.state.flooded.borrow() * BYTES;
    assert!(written < 32 << 20, "{wire:?}: {written} bytes");
    assert_eq!(other.text("echo", json!({"text": "a"})).await, "a", "{wire:?}");
    drop(other);
}

#[tokio::test]
async fn an_event_stream_that_nobody_reads_is_cut() {
    let server = stalling().await;
    let mut reader = connection(&server).await;
    reader.write_all(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut text = String::new();
    while !text.contains("sessionId=") || !text.contains("\n\n") {
        let mut bytes = [0; 512];
        let read = within(reader.read(&mut bytes)).await.unwrap();
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    let endpoint = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let initialize =
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize_params()});
    for message in [&initialize, &flood(Era::Legacy)] {
        let response = http().post(server.url(endpoint)).json(message).send().await.unwrap();
        assert_eq!(response.status(), 202);
    }
    is_bounded_and_ends(&server, Wire::Sse).await;
    reaches(&server.state.handlers, 0).await;
    let response = http().post(server.url(endpoint)).json(&initialize).send().await.unwrap();
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn a_websocket_that_nobody_reads_is_cut() {
    let server = stalling().await;
    let (mut socket, _) = client_async(ws_request(&server), connection(&server).await).await.unwrap();
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize_params()}),
        flood(Era::Legacy),
    ] {
        futures_util::SinkExt::send(&mut socket, Message::text(message.to_string())).await.unwrap();
    }
    is_bounded_and_ends(&server, Wire::WebSocket).await;
    reaches(&server.state.handlers, 0).await;
}

#[tokio::test]
async fn a_response_of_the_newer_era_that_nobody_reads_is_cut() {
    let server = stalling().await;
    let mut reader = connection(&server).await;
    let headers = format!("Mcp-Protocol-Version: {MODERN}\r\nMcp-Method: tools/call\r\nMcp-Name: flood\r\n");
    reader.write_all(post("/mcp", &headers, &flood(Era::Modern)).as_bytes()).await.unwrap();
    is_bounded_and_ends(&server, Wire::Streamable).await;
    reaches(&server.state.handlers, 0).await;
}

#[tokio::test]
async fn a_stream_of_http2_that_nobody_reads_is_cut_and_its_connection_lives_on() {
    let server = stalling().await;
    let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let post = |tool: &str, message: &serde_json::Value| {
        let request = http.post(server.url("/mcp")).header("accept", "*/*").header("mcp-name", tool);
        request.header("mcp-protocol-version", MODERN).header("mcp-method", "tools/call").json(message)
    };
    let unread = post("flood", &flood(Era::Modern)).send().await.unwrap();
    assert_eq!(unread.version(), reqwest::Version::HTTP_2);
    is_bounded_and_ends(&server, Wire::Streamable).await;
    reaches(&server.state.handlers, 0).await;
    let mut echo = flood(Era::Modern);
    echo["params"]["name"] = json!("echo");
    assert_eq!(post("echo", &echo).send().await.unwrap().status(), 200);
    drop(unread);
}

#[tokio::test]
async fn a_response_in_a_session_that_nobody_reads_is_cut_and_the_session_lives_on() {
    let server = stalling().await;
    let mut client = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    let mut reader = connection(&server).await;
    let headers =
        format!("Mcp-Protocol-Version: {LEGACY}\r\nMcp-Session-Id: {}\r\n", client.session().unwrap());
    let mut call = flood(Era::Legacy);
    call["params"]["arguments"]["count"] = json!(1_000);
    call["id"] = json!("flood");
    reader.write_all(post("/mcp", &headers, &call).as_bytes()).await.unwrap();
    within(server.state.flooded.subscribe().wait_for(|count| *count == 1_000)).await.unwrap();
    assert_eq!(client.text("echo", json!({"text": "a"})).await, "a");
}

#[tokio::test]
async fn a_websocket_whose_client_does_not_answer_is_closed() {
    let server = Server::with(|options| options.timing.ping = Duration::from_millis(500)).await;
    let mut living = Client::open(&server, Wire::WebSocket, Era::Legacy).await;
    let made = *server.state.made.borrow();
    // It answers a ping only when it is read from.
    let (socket, _) =
        client_async(ws_request(&server), TcpStream::connect(server.address).await.unwrap()).await.unwrap();
    reaches(&server.state.made, made + 1).await;
    reaches(&server.state.handlers, 1).await;
    let frames: Vec<_> = socket.collect().await;
    let pings = frames.iter().filter(|frame| matches!(frame, Ok(Message::Ping(_)))).count();
    assert!(pings >= 1, "{frames:?}");
    assert!(frames.iter().any(|frame| matches!(frame, Ok(Message::Close(_)))), "{frames:?}");
    assert_eq!(living.text("echo", json!({"text": "a"})).await, "a");
}

/// A pipe that is full, and whose reader does neither read nor hang up, must not keep a program alive.
async fn ends_with_a_full_pipe(stops: bool) {
    let state = State::new();
    let (input, mut to_server) = tokio::io::duplex(1 << 20);
    let (output, _from_server) = tokio::io::duplex(64);
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    let serving = tokio::spawn(mcp_transport::serve_streams(state.handler(), input, output, async move {
        stopped.cancelled().await;
    }));
    let mut params = json!({"name": "echo", "arguments": {"text": "a".repeat(1_000)}});
    add_metadata(&mut params);
    for id in 0..40 {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        to_server.write_all(format!("{call}\n").as_bytes()).await.unwrap();
    }
    if stops {
        stop.cancel();
    } else {
        drop(to_server);
    }
    within(serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_does_not_outlive_the_input() {
    ends_with_a_full_pipe(false).await;
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_does_not_outlive_a_stop() {
    ends_with_a_full_pipe(true).await;
}
