//! A stream of events that can be read on after it broke.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use json_rpc::{Message, ReadError};

use super::{Inner, headers::Manner};
use crate::connect::{
    events::{Event, Events},
    link::LinkError,
};

/// The first wait before a broken stream is opened again; it doubles as long as nothing comes.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A server that names a shorter time is not asked more often than so.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// Where a stream is, and when to open it again.
#[derive(Default)]
pub(super) struct Place {
    last_id: Option<Bytes>,
    retry: Option<Duration>,
    failures: u32,
}

/// Why a stream cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// The server wants no such stream.
    Refused,
    /// The server does not know the session.
    Forgotten,
    /// Nobody can be reached there.
    Unreachable,
    /// It may be opened later.
    Busy,
}

impl Place {
    /// Something came on the stream.
    pub(super) fn moved(&mut self) {
        self.failures = 0;
    }

    /// The stream ended here.
    pub(super) fn left(&mut self, events: &Events) {
        self.last_id = events.decoder().last_id().cloned().or(self.last_id.take());
        self.retry = events.decoder().retry().or(self.retry);
    }

    /// Whether a stream can be read on from here.
    pub(super) fn is_known(&self) -> bool {
        self.last_id.is_some()
    }

    /// How often in a row the stream brought nothing.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// How long to wait before the stream is opened again.
    pub(super) fn wait(&mut self) -> Duration {
        let wait = match (self.retry, self.failures) {
            (Some(retry), 0) => retry,
            (retry, failures) => {
                retry.unwrap_or_default().max(FIRST_WAIT.saturating_mul(1 << failures.min(16)))
            }
        };
        self.failures += 1;
        wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)
    }
}

impl Inner {
    /// Opens the stream of the session, or goes on with one.
    pub(super) async fn open(&self, manner: &Manner, place: &Place) -> Result<Events, Closed> {
        let last_id = place.last_id.as_ref().and_then(|id| HeaderValue::from_maybe_shared(id.clone()).ok());
        let response = match self.wire.send(Method::GET, manner.of_stream(last_id), None).await {
            Ok(response) => response,
            Err(LinkError::Http(error)) if error.is_connect() => return Err(Closed::Unreachable),
            Err(_) => return Err(Closed::Busy),
        };
        let status = response.status();
        if status.is_success() {
            return Events::new(response, self.limit).map_err(|_| Closed::Refused);
        }
        Err(match status {
            StatusCode::NOT_FOUND => Closed::Forgotten,
            // A server that allows one stream may not have noticed yet that the last one broke.
            StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Closed::Busy
            }
            status if status.is_server_error() => Closed::Busy,
            _ => Closed::Refused,
        })
    }
}

/// The message in an event, if there is one. What cannot be read is logged by its size alone.
pub(super) fn message(event: &Event) -> Result<Option<Message>, ReadError> {
    if event.name != "message" || event.data.trim_ascii().is_empty() {
        return Ok(None);
    }
    Message::read(&event.data).map(Some).inspect_err(|_| {
        tracing::warn!(message.bytes = event.data.len(), "a message of the server cannot be read");
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(retry: Option<u64>, count: usize) -> Vec<u128> {
        let mut place = Place { retry: retry.map(Duration::from_millis), ..Place::default() };
        std::iter::repeat_with(|| place.wait().as_millis()).take(count).collect()
    }

    #[test]
    fn a_stream_is_opened_again_when_the_server_says_and_more_rarely_while_nothing_comes() {
        assert_eq!(waits(None, 9), [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(waits(Some(700), 3), [700, 700, 1000]);
        assert_eq!(waits(Some(0), 2), [10, 500]);
        assert_eq!(waits(Some(u64::MAX), 2), [30_000, 30_000]);
    }
}
