//! Load over HTTP/1.1: one keep-alive connection a caller.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::callers::Protocol;
use crate::connection::Connection;
use crate::events::Events;
use crate::measurement::Outcome;

/// The same request again and again.
pub(crate) struct Http {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Answer,
}

/// What the answers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// One body, read and dropped.
    Whole,
    /// Server-sent events, counted.
    Events,
}

impl Protocol for Http {
    type Line = Connection;

    async fn open(&self) -> Result<Connection> {
        Connection::open(self.address).await
    }

    async fn call(&self, connection: &mut Connection, outcome: &mut Outcome) -> Result<()> {
        let started = Instant::now();
        match self.answer {
            Answer::Whole => connection.exchange(&self.request, |_| ()).await?,
            Answer::Events => {
                let mut events = EventCounter::new(started);
                connection.exchange(&self.request, |piece| events.read(piece)).await?;
                outcome.streamed(events.first()?, events.count);
            }
        }
        outcome.answered(started.elapsed());
        Ok(())
    }
}

/// Counts the events of a stream and notes when the first came.
struct EventCounter {
    started: Instant,
    first: Option<Duration>,
    count: u64,
    events: Events,
    done: bool,
}

impl EventCounter {
    fn new(started: Instant) -> Self {
        Self { started, first: None, count: 0, events: Events::default(), done: false }
    }

    fn read(&mut self, piece: &[u8]) {
        let Self { started, first, count, events, done } = self;
        events.read(piece, |data| {
            first.get_or_insert_with(|| started.elapsed());
            *count += 1;
            *done = data == b"[DONE]";
        });
    }

    /// When the first event came; a stream that did not end with `[DONE]` is an error.
    fn first(&self) -> Result<Duration> {
        let unfinished = || Error::new(ErrorKind::UnexpectedEof, "a stream that did not end with [DONE]");
        self.first.filter(|_| self.done).ok_or_else(unfinished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_a_whole_stream_are_counted() {
        let mut events = EventCounter::new(Instant::now());
        for piece in ["data: {\"a\"", ":1}\n", "\nda", "ta: 2\n\n: comment\n\nevent: x\ndata: [DONE]\n\n"] {
            events.read(piece.as_bytes());
        }
        assert_eq!(events.count, 3);
        assert!(events.first().is_ok());
    }

    #[test]
    fn a_stream_that_is_cut_is_an_error() {
        let mut events = EventCounter::new(Instant::now());
        events.read(b"data: {\"content\":\"x\"}\n\n");
        assert!(events.first().is_err());
    }
}
