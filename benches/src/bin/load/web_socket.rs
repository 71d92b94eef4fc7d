//! MCP over WebSocket: one connection a caller, each message a text frame.

use std::io::Result;

use tokio::time::Instant;

use crate::callers::Protocol;
use crate::connection::{Connection, invalid};
use crate::measurement::Outcome;
use crate::target::Target;
use crate::tool_call::{Era, INITIALIZED, ToolCall, is_greeted};

/// The key is the one of RFC 6455's example: the proof that the server makes of it is not looked at.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mcp\r\n";
/// Clients mask what they send, so that no page can make a proxy take it for a request. There is no proxy here.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const WHOLE_TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const MASKED: u8 = 0x80;

/// A tool's calls over WebSocket.
pub(crate) struct WebSocket {
    pub(crate) target: Target,
    pub(crate) call: ToolCall,
}

/// A caller's connection.
pub(crate) struct Line {
    connection: Connection,
    next_id: u64,
}

impl Line {
    async fn send(&mut self, message: &str) -> Result<()> {
        self.connection.send(&frame(message)).await
    }

    /// What `look` finds in the messages that come.
    async fn find<T>(&mut self, mut look: impl FnMut(&[u8]) -> Result<Option<T>>) -> Result<T> {
        loop {
            let &[kind, length] = self.connection.take(2).await? else {
                unreachable!("two bytes were taken")
            };
            let length = match length {
                126 => self.length(2).await?,
                127 => self.length(8).await?,
                short => short.into(),
            };
            let payload = self.connection.take(length).await?;
            match kind {
                WHOLE_TEXT => {
                    if let Some(found) = look(payload)? {
                        return Ok(found);
                    }
                }
                PING => {} // a load is over long before the server misses the answer
                CLOSE => return Err(invalid("a connection that was closed")),
                _ => return Err(invalid("a frame that is no whole text")),
            }
        }
    }

    async fn length(&mut self, bytes: usize) -> Result<usize> {
        let bytes = self.connection.take(bytes).await?;
        Ok(bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)))
    }
}

impl Protocol for WebSocket {
    type Line = Line;

    async fn open(&self) -> Result<Line> {
        let mut connection = Connection::open(self.target.address).await?;
        connection.upgrade(&self.target.get(UPGRADE)).await?;
        let mut line = Line { connection, next_id: 1 };
        if self.call.era == Era::Legacy {
            line.send(&self.call.era.greeting()).await?;
            line.find(|message| Ok(is_greeted(message)?.then_some(()))).await?;
            line.send(INITIALIZED).await?;
        }
        Ok(line)
    }

    async fn call(&self, line: &mut Line, outcome: &mut Outcome) -> Result<()> {
        let id = line.next_id;
        line.next_id += 1;
        let started = Instant::now();
        line.send(&self.call.request(id)).await?;
        let answer = line.find(|message| self.call.answer(message)).await?;
        if answer.id != id {
            return Err(invalid("an answer to no open call"));
        }
        answer.result?;
        outcome.answered(started.elapsed());
        Ok(())
    }
}

/// A text frame as a client sends it.
fn frame(message: &str) -> Vec<u8> {
    let mut frame = Vec::with_capacity(message.len() + 14);
    frame.push(WHOLE_TEXT);
    match message.len() {
        length @ ..126 => frame.push(MASKED | length as u8),
        length @ ..0x1_0000 => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(message.bytes().zip(MASK.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The masked "Hello" of RFC 6455, section 5.7.
    #[test]
    fn a_short_frame_is_the_one_of_the_specification() {
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(frame("Hello"), hello);
    }

    #[test]
    fn a_longer_frame_says_its_length_in_more_bytes() {
        assert_eq!(frame(&"x".repeat(126))[..4], [0x81, 0xfe, 0, 126]);
        assert_eq!(frame(&"x".repeat(0x1_0000))[..10], [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
