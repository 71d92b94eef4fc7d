//! Streamed answers: Server-Sent Events to [`StreamEvent`]s.

use std::pin::Pin;

use eventsource_stream::{EventStream, EventStreamError};
use futures_util::{Stream, StreamExt, stream};
use models::{DONE, StreamEvent, StreamPiece};
use tokio::time::timeout;

use crate::{Limits, ResponderError, answer};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Decodes the bytes of a stream. It ends after `[DONE]`, or with its first error.
pub(crate) fn decode<B, E>(
    bytes: impl Stream<Item = Result<B, E>> + Send,
    limits: Limits,
) -> impl Stream<Item = Result<StreamEvent, ResponderError>> + Send + Unpin
where
    B: AsRef<[u8]> + Send,
    E: Into<ResponderError> + Send,
{
    let mut guard = Guard::new(limits);
    let admitted = bytes.map(move |chunk| guard.admit(chunk.map_err(Into::into)?.as_ref()));
    // The decoder looks for a byte order mark in its first chunk only, and panics when it finds one: this empty line
    // comes first instead, and the guard takes the mark away.
    let events = EventStream::new(stream::iter([Ok(b"\n".to_vec())]).chain(admitted));
    let answer = Answer { events: Box::pin(events), limits, state: State::Open };
    Box::pin(stream::unfold(answer, |mut answer| async { Some((answer.next().await?, answer)) }))
}

struct Answer<S> {
    events: Pin<Box<EventStream<S>>>,
    limits: Limits,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Pieces come.
    Open,
    /// The end was announced; `[DONE]` is still missing.
    Ended,
    /// Nothing follows.
    Over,
}

impl<S> Answer<S>
where
    S: Stream<Item = Result<Vec<u8>, ResponderError>>,
{
    async fn next(&mut self) -> Option<Result<StreamEvent, ResponderError>> {
        if self.state == State::Over {
            return None;
        }
        let next = self.read().await;
        match &next {
            Ok(Some(StreamEvent::End(_))) => self.state = State::Ended,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => self.state = State::Over,
        }
        next.transpose()
    }

    /// The next event; `None` after `[DONE]`.
    async fn read(&mut self) -> Result<Option<StreamEvent>, ResponderError> {
        let after = self.limits.timeout;
        let event = match timeout(after, self.events.next()).await {
            Err(_) => return Err(ResponderError::TimedOut { after }),
            Ok(None) => return Err(ResponderError::BrokenStream),
            Ok(Some(event)) => event.map_err(undecodable)?,
        };
        match (self.state, event.data.as_str()) {
            (State::Ended, DONE) => Ok(None),
            (_, DONE) => Err(ResponderError::BrokenStream),
            (State::Open, data) => parse(data).map(Some),
            _ => Err(ResponderError::InvalidAnswer("an event follows the end".to_owned())),
        }
    }
}

fn parse(data: &str) -> Result<StreamEvent, ResponderError> {
    // Nearly every event is a piece; the untagged enum would copy each into a tree first.
    if let Ok(piece) = serde_json::from_str::<StreamPiece>(data) {
        return Ok(StreamEvent::Piece(piece));
    }
    match serde_json::from_str(data) {
        Ok(StreamEvent::Error(failure)) => Err(ResponderError::StreamFailed(failure)),
        Ok(event) => Ok(event),
        Err(error) => Err(answer::unexpected(&error)),
    }
}

fn undecodable(error: EventStreamError<ResponderError>) -> ResponderError {
    match error {
        EventStreamError::Transport(error) => error,
        EventStreamError::Utf8(_) => ResponderError::InvalidAnswer("not UTF-8".to_owned()),
        EventStreamError::Parser(_) => ResponderError::InvalidAnswer("not an event stream".to_owned()),
    }
}

/// Keeps a stream within its limits and takes a leading byte order mark away.
struct Guard {
    limits: Limits,
    total: usize,
    /// Bytes since the last line break. The decoder scans them again with every chunk, so a line must stay short.
    line: usize,
    /// How many bytes of a possible byte order mark were held back; `None` once the start is known.
    held: Option<usize>,
}

impl Guard {
    fn new(limits: Limits) -> Self {
        Self { limits, total: 0, line: 0, held: Some(0) }
    }

    fn admit(&mut self, chunk: &[u8]) -> Result<Vec<u8>, ResponderError> {
        self.total += chunk.len();
        self.line = match chunk.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) {
            Some(end) => chunk.len() - end - 1,
            None => self.line + chunk.len(),
        };
        if self.total > self.limits.answer_bytes || self.line > self.limits.line_bytes {
            return Err(answer::too_large(self.limits.answer_bytes.min(self.limits.line_bytes)));
        }
        Ok(self.without_mark(chunk))
    }

    fn without_mark(&mut self, chunk: &[u8]) -> Vec<u8> {
        let Some(held) = self.held else { return chunk.to_vec() };
        let start = [&BYTE_ORDER_MARK[..held], chunk].concat();
        if start.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(&start) {
            self.held = Some(start.len());
            return Vec::new();
        }
        self.held = None;
        start.strip_prefix(BYTE_ORDER_MARK).map(<[u8]>::to_vec).unwrap_or(start)
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
