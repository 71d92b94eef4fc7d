//! Connections within this process: pairs of streams, without a socket.

use std::{future::pending, sync::Arc, time::Duration};

use gateway::Gateway;
use mcp_transport::{serve_endpoint_streams, serve_streams};
use rmcp::ServerHandler;
use tokio::io::{DuplexStream, duplex, split};

/// Bytes that may be under way, each way.
const BUFFER: usize = 1 << 16;
const GRACE: Duration = Duration::from_secs(1);

/// A client's end of a connection to a server. It ends when the client closes it.
pub fn to_server(handler: impl ServerHandler) -> DuplexStream {
    let (near, far) = duplex(BUFFER);
    let (input, output) = split(far);
    tokio::spawn(serve_streams(handler, input, output, pending()));
    near
}

/// A client's end of a connection to a gateway. It ends when the client closes it.
pub fn to_gateway(gateway: Arc<Gateway>) -> DuplexStream {
    let (near, far) = duplex(BUFFER);
    tokio::spawn(serve_endpoint_streams(gateway, split(far), GRACE, pending()));
    near
}
