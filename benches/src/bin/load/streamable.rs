//! MCP over Streamable HTTP: one connection a caller, and in the older era one session.

use std::io::Result;

use tokio::time::Instant;

use crate::callers::Protocol;
use crate::connection::{Connection, invalid};
use crate::events::Events;
use crate::measurement::Outcome;
use crate::target::Target;
use crate::tool_call::{Era, INITIALIZED, ToolCall, is_greeted};

const ACCEPT: &str = "Accept: application/json, text/event-stream\r\n";

/// A tool's calls over Streamable HTTP.
pub(crate) struct Streamable {
    pub(crate) target: Target,
    pub(crate) call: ToolCall,
}

/// A caller's connection and session.
pub(crate) struct Line {
    /// Opened when it is needed: a session outlives it.
    connection: Option<Connection>,
    /// Header lines of every call.
    headers: String,
    next_id: u64,
    body: Vec<u8>,
}

impl Streamable {
    /// Begins a session and gives the headers of its requests.
    async fn begin(&self, connection: &mut Connection) -> Result<String> {
        let greeting = self.target.post(ACCEPT, &self.call.era.greeting());
        let (mut session, mut body) = (None, Vec::new());
        let header = |name: &[u8], value: &[u8]| {
            if name.eq_ignore_ascii_case(b"mcp-session-id") {
                session = Some(String::from_utf8_lossy(value).into_owned());
            }
        };
        connection.exchange_with_headers(&greeting, header, |piece| body.extend_from_slice(piece)).await?;
        if find(&body, |message| Ok(is_greeted(message)?.then_some(())))?.is_none() {
            return Err(invalid("a greeting without an answer"));
        }
        let session = session.ok_or_else(|| invalid("a session without an id"))?;
        let version = self.call.era.version();
        let headers = format!("{ACCEPT}Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: {version}\r\n");
        connection.exchange(&self.target.post(&headers, INITIALIZED), |_| ()).await?;
        Ok(headers)
    }

    /// The headers of requests that belong to no session.
    fn headers(&self) -> String {
        let (version, tool) = (self.call.era.version(), &self.call.tool);
        format!("{ACCEPT}MCP-Protocol-Version: {version}\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n")
    }
}

impl Protocol for Streamable {
    type Line = Line;

    async fn open(&self) -> Result<Line> {
        let mut connection = Connection::open(self.target.address).await?;
        let headers = match self.call.era {
            Era::Legacy => self.begin(&mut connection).await?,
            Era::Modern => self.headers(),
        };
        Ok(Line { connection: Some(connection), headers, next_id: 1, body: Vec::with_capacity(1024) })
    }

    async fn call(&self, line: &mut Line, outcome: &mut Outcome) -> Result<()> {
        let Line { connection, headers, next_id, body } = line;
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(Connection::open(self.target.address).await?),
        };
        let id = *next_id;
        *next_id += 1;
        body.clear();
        let started = Instant::now();
        let request = self.target.post(headers, &self.call.request(id));
        connection.exchange(&request, |piece| body.extend_from_slice(piece)).await?;
        let answer = find(body, |message| self.call.answer(message))?;
        let answer = answer.filter(|answer| answer.id == id);
        answer.ok_or_else(|| invalid("a call without an answer"))?.result?;
        outcome.answered(started.elapsed());
        Ok(())
    }

    fn rest(&self, line: &mut Line) {
        line.connection = None;
    }
}

/// What `look` finds first in the messages of `body`: one in JSON, or many as server-sent events.
fn find<T>(body: &[u8], mut look: impl FnMut(&[u8]) -> Result<Option<T>>) -> Result<Option<T>> {
    if body.starts_with(b"{") {
        return look(body);
    }
    let mut found = Ok(None);
    Events::default().read(body, |data| {
        let empty = data.is_empty(); // names a place to resume at
        if !empty && matches!(found, Ok(None)) {
            found = look(data);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_in_json_and_behind_other_events() {
        for body in ["{\"id\":1}", "id: 0\nretry: 3\ndata:\n\ndata: {}\n\nid: 1\ndata: {\"id\":1}\n\n"] {
            let found = find(body.as_bytes(), |message| Ok((message == b"{\"id\":1}").then_some(())));
            assert!(found.unwrap().is_some(), "{body}");
        }
        assert!(find(b"data:\n\n", |_| Ok(Some(()))).unwrap().is_none());
    }
}
