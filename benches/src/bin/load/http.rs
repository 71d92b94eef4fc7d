//! Load over HTTP/1.1: one keep-alive connection a caller.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use crate::connection::Connection;
use crate::measurement::{Budget, FAILURES_IN_A_ROW, Load, Outcome};
use crate::target::Target;

/// Callers that all send the same request.
pub(crate) struct Callers {
    address: SocketAddr,
    request: Vec<u8>,
    answer: Answer,
    connections: Vec<Option<Connection>>,
}

/// What the answers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// One body, read and dropped.
    Whole,
    /// Server-sent events, counted.
    Events,
}

impl Callers {
    pub(crate) fn new(target: &Target, request: Vec<u8>, answer: Answer, callers: usize) -> Self {
        let connections = (0..callers).map(|_| None).collect();
        Self { address: target.address, request, answer, connections }
    }
}

impl Load for Callers {
    async fn run(&mut self, budget: &Budget) -> Outcome {
        let (address, request, answer) = (self.address, &self.request, self.answer);
        let outcomes = self.connections.iter_mut().map(async |connection| {
            let mut caller = Caller { address, request, answer, connection, outcome: Outcome::default() };
            let in_time = timeout_at(budget.cut_off(), caller.call_until_the_end_of(budget)).await;
            if in_time.is_err() {
                caller.outcome.failed(&"no answer");
                *caller.connection = None;
            }
            caller.outcome
        });
        let mut sum = Outcome::default();
        join_all(outcomes).await.into_iter().for_each(|outcome| sum.merge(outcome));
        sum
    }
}

struct Caller<'a> {
    address: SocketAddr,
    request: &'a [u8],
    answer: Answer,
    connection: &'a mut Option<Connection>,
    outcome: Outcome,
}

impl Caller<'_> {
    async fn call_until_the_end_of(&mut self, budget: &Budget) {
        let mut failures = 0;
        while failures < FAILURES_IN_A_ROW && budget.take() {
            match self.call().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    self.outcome.failed(&error);
                    *self.connection = None;
                }
            }
        }
    }

    /// One call; a connection that is missing is opened first and not counted as a part of it.
    async fn call(&mut self) -> Result<()> {
        let connection = match self.connection {
            Some(connection) => connection,
            None => self.connection.insert(Connection::open(self.address).await?),
        };
        let started = Instant::now();
        match self.answer {
            Answer::Whole => connection.exchange(self.request, |_| ()).await?,
            Answer::Events => {
                let mut events = EventCounter::new(started);
                connection.exchange(self.request, |piece| events.read(piece)).await?;
                self.outcome.streamed(events.first()?, events.count);
            }
        }
        self.outcome.answered(started.elapsed());
        Ok(())
    }
}

/// Counts the `data:` lines of an event stream and notes when the first came.
struct EventCounter {
    started: Instant,
    first: Option<Duration>,
    count: u64,
    line: Vec<u8>,
    done: bool,
}

impl EventCounter {
    fn new(started: Instant) -> Self {
        Self { started, first: None, count: 0, line: Vec::with_capacity(256), done: false }
    }

    fn read(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        if let Some(data) = self.line.strip_prefix(b"data:") {
            self.first.get_or_insert_with(|| self.started.elapsed());
            self.count += 1;
            self.done = data.trim_ascii() == b"[DONE]";
        }
        self.line.clear();
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
    fn events_are_counted_over_the_borders_of_pieces() {
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
