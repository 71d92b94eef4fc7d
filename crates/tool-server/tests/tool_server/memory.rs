//! What clients that never come back cost.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{eventually, start_network};

const SESSIONS: usize = 10_000;

/// Memory of a process that is in use now, in KiB.
fn resident(id: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Opens sessions over one connection and abandons them.
async fn abandon_sessions(address: &str) {
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).to_string();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut response = Vec::new();
    for _ in 0..SESSIONS {
        stream.write_all(request.as_bytes()).await.unwrap();
        response.clear();
        while !response.ends_with(b"\r\n0\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut response).await.unwrap(), 0);
        }
        assert!(response.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&response));
    }
}

#[tokio::test]
async fn the_memory_of_abandoned_sessions_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("MCP_SESSION_IDLE_SECONDS", "10"), ("MCP_MAX_SESSIONS", "20000")];
    let (child, address) = start_network(folder.path(), &[], &variables).await;
    let id = child.id().unwrap();
    let before = resident(id);
    for _ in 0..2 {
        abandon_sessions(&address).await;
        let peak = resident(id);
        assert!(peak > before);
        // The allocator keeps a part of what was freed, for it is asked for memory again.
        eventually("the memory's return", || (resident(id) < before + (peak - before) / 2).then_some(()))
            .await;
    }
}
