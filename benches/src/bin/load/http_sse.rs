//! MCP over HTTP+SSE: a caller posts on one connection, and the answers come on another, whose response never ends.

use std::io::Result;

use tokio::time::Instant;

use crate::callers::Protocol;
use crate::connection::{Connection, invalid};
use crate::events::Events;
use crate::measurement::Outcome;
use crate::target::Target;
use crate::tool_call::{Era, INITIALIZED, ToolCall, is_greeted};

/// A tool's calls over HTTP+SSE.
pub(crate) struct HttpSse {
    /// Where the stream is.
    pub(crate) target: Target,
    pub(crate) call: ToolCall,
}

/// A caller's stream, and what it posts to.
pub(crate) struct Line {
    stream: Connection,
    events: Events,
    messages: Target,
    /// Opened when it is needed: the session is the stream's.
    posts: Option<Connection>,
    next_id: u64,
}

impl Line {
    /// The next thing that `look` finds on the stream.
    async fn find<T>(&mut self, look: impl FnMut(&[u8]) -> Result<Option<T>>) -> Result<T> {
        find(&mut self.stream, &mut self.events, look).await
    }

    async fn post(&mut self, message: &str) -> Result<()> {
        let posts = match &mut self.posts {
            Some(posts) => posts,
            None => self.posts.insert(Connection::open(self.messages.address).await?),
        };
        posts.exchange(&self.messages.post("", message), |_| ()).await
    }
}

async fn find<T>(
    stream: &mut Connection,
    events: &mut Events,
    mut look: impl FnMut(&[u8]) -> Result<Option<T>>,
) -> Result<T> {
    loop {
        let mut found = Ok(None);
        let mut first = |data: &[u8]| {
            if matches!(found, Ok(None)) {
                found = look(data);
            }
        };
        let goes_on = stream.chunk(|piece| events.read(piece, &mut first)).await?;
        if let Some(found) = found? {
            return Ok(found);
        }
        if !goes_on {
            return Err(invalid("a stream that has ended"));
        }
    }
}

impl Protocol for HttpSse {
    type Line = Line;

    async fn open(&self) -> Result<Line> {
        let (mut stream, mut events) = (Connection::open(self.target.address).await?, Events::default());
        stream.open_stream(&self.target.get("Accept: text/event-stream\r\n")).await?;
        let path = |data: &[u8]| Ok(Some(String::from_utf8_lossy(data).into_owned()));
        let messages = self.target.at(&find(&mut stream, &mut events, path).await?);
        let mut line = Line { stream, events, messages, posts: None, next_id: 1 };
        if self.call.era == Era::Legacy {
            line.post(&self.call.era.greeting()).await?;
            line.find(|message| Ok(is_greeted(message)?.then_some(()))).await?;
            line.post(INITIALIZED).await?;
        }
        Ok(line)
    }

    async fn call(&self, line: &mut Line, outcome: &mut Outcome) -> Result<()> {
        let id = line.next_id;
        line.next_id += 1;
        let started = Instant::now();
        line.post(&self.call.request(id)).await?;
        let answer = line.find(|message| self.call.answer(message)).await?;
        if answer.id != id {
            return Err(invalid("an answer to no open call"));
        }
        answer.result?;
        outcome.answered(started.elapsed());
        Ok(())
    }

    fn rest(&self, line: &mut Line) {
        line.posts = None;
    }
}
