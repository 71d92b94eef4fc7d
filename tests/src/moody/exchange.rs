//! As much of HTTP/1.1 as a client of MCP needs.

use std::io;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::Response;

/// Longest body that is read.
const LONGEST: usize = 1 << 20;

/// A request, as far as it matters.
pub(super) struct Request {
    pub(super) is_post: bool,
    pub(super) session: Option<u64>,
    pub(super) message: Value,
}

impl Request {
    /// The next one of a connection; `None` at its end.
    pub(super) async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let is_post = line.starts_with("POST ");
        let (mut session, mut length) = (None, 0);
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            match line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim())) {
                Some((name, value)) if name == "content-length" => {
                    length = value.parse().map_err(io::Error::other)?;
                }
                Some((name, value)) if name == "mcp-session-id" => session = value.parse().ok(),
                _ => {}
            }
        }
        let mut body = vec![0; LONGEST.min(length)];
        stream.read_exact(&mut body).await?;
        Ok(Some(Self { is_post, session, message: serde_json::from_slice(&body).unwrap_or_default() }))
    }
}

/// Writes a response with the first `bytes` of its body.
pub(super) async fn reply(
    stream: &mut BufReader<TcpStream>,
    response: &Response,
    bytes: usize,
) -> io::Result<()> {
    let Response { status, session, body } = response;
    let session = session.map(|session| format!("mcp-session-id: {session}\r\n")).unwrap_or_default();
    let (length, body) = (body.len(), &body[..bytes]);
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{session}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await
}
