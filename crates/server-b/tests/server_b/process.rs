//! The program itself: its words, standard streams, signals, exit codes.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::start;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

#[tokio::test]
async fn the_end_of_the_input_ends_both_faces_and_nothing_but_mcp_was_on_the_output() {
    let mut server = start(&["stdio"], &[("RUST_LOG", "trace")]);
    let rest = server.rest().await;
    rest.process(json!({"message": "private words"})).await;
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "process_message", "arguments": {"message": "private words"}}});
    let mut input = server.child.stdin.take().unwrap();
    input.write_all(format!("{INITIALIZE}\n{INITIALIZED}\n{call}\n").as_bytes()).await.unwrap();
    drop(input);

    let mut output = String::new();
    server.child.stdout.take().unwrap().read_to_string(&mut output).await.unwrap();
    assert_eq!(server.code().await, Some(0));
    let messages: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["result"]["serverInfo"]["name"], "ai-responder-server");
    assert!(messages[0]["result"]["instructions"].as_str().unwrap().contains("process_message"));
    assert_eq!(messages[1]["result"]["isError"], false);
    let log = server.whole_log().await;
    assert!(log.contains("tool called") && log.contains("stopped"), "{log}");
    assert!(!log.contains("private words"), "{log}");
}

#[tokio::test]
async fn an_input_that_ends_at_once_is_a_success() {
    let mut server = start(&["stdio"], &[]);
    drop(server.child.stdin.take());
    assert_eq!(server.code().await, Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_every_way_of_serving() {
    for words in [&[][..], &["stdio"], &["http"]] {
        for signal in ["-TERM", "-INT"] {
            let mut server = start(words, &[]);
            server.rest().await;
            server.signal(signal).await;
            assert_eq!(server.code().await, Some(0), "{words:?} {signal}");
        }
    }
}

#[tokio::test]
async fn alone_it_serves_rest_whatever_server_a_is_told_and_reads_no_input() {
    let mut server = start(&[], &[("MCP_TRANSPORT", "stdio"), ("MCP_PORT_A", "x")]);
    let rest = server.rest().await;
    drop(server.child.stdin.take());
    assert_eq!(rest.process(json!({"message": "a"})).await["status"], "success");
    assert!(server.child.try_wait().unwrap().is_none());
    server.child.kill().await.unwrap();
    let mut output = String::new();
    server.child.stdout.take().unwrap().read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "");
    assert!(!server.whole_log().await.contains("MCP"));
}

#[tokio::test]
async fn a_word_that_is_no_transport_is_refused_with_those_that_are() {
    let mut server = start(&["websocket"], &[]);
    assert_eq!(server.code().await, Some(2));
    assert!(server.whole_log().await.contains("`websocket`: allowed are stdio, http"));
}

#[tokio::test]
async fn an_address_for_mcp_that_is_taken_is_named_at_the_start() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut server = start(&["http"], &[("MCP_PORT_B", &port)]);
    assert_eq!(server.code().await, Some(1));
    let log = server.whole_log().await;
    assert!(log.contains("MCP_PORT_B") && log.contains(&port), "{log}");
}
