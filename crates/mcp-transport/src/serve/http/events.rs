//! Responses that are streams of events.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    super::routes::{Place, name},
    call::Call,
    reader::Reader,
};

/// How often a silent stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client should wait before it listens again, in milliseconds.
const RETRY: u64 = 3_000;

/// The events that a reader reads, and the call that makes them.
struct Events {
    /// Before the reader, for it is dropped first: what goes on without a connection.
    call: Option<Call>,
    reader: Reader,
    priming: Option<Bytes>,
    quiet: Pin<Box<Sleep>>,
}

/// The response to a call that says more than its answer, or takes its time.
pub(super) fn answer(call: Call, reader: Reader) -> Response {
    let primes = reader.client.as_ref().is_some_and(|client| {
        client.show(&reader.lane);
        client.primes()
    });
    response(Events::new(Some(call), primes, reader))
}

/// The response to a client that listens, or has come back. `primes` when it is to be told where it begins. What has no end of
/// its own ends when the server stops.
pub(super) fn listen(reader: Reader, primes: bool, stopping: &CancellationToken) -> Response {
    let is_endless = reader.lane.place == Place::Listening;
    let events = Events::new(None, primes, reader);
    if is_endless {
        response(events.take_until(stopping.clone().cancelled_owned()))
    } else {
        response(events)
    }
}

/// A response without an event. To clients that follow events an error would be a reason to ask again.
pub(super) fn none() -> Response {
    response(futures_util::stream::empty())
}

fn response(events: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that gather a response before they pass it on would never pass this one on.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Events {
    fn new(call: Option<Call>, primes: bool, reader: Reader) -> Self {
        let priming = primes.then(|| {
            let place = name(reader.lane.place, reader.lane.read());
            Bytes::from(format!("id: {place}\nretry: {RETRY}\ndata: \n\n"))
        });
        Self { call, reader, priming, quiet: Box::pin(sleep(KEEP_ALIVE)) }
    }
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(priming) = self.priming.take() {
            return Poll::Ready(Some(Ok(priming)));
        }
        if let Some(call) = &mut self.call
            && let Poll::Ready(ended) = call.poll(context)
            && let Some(call) = self.call.take()
        {
            call.finish(ended);
        }
        match self.reader.poll(context) {
            Poll::Ready(Some((number, message))) => {
                self.quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
                let place = self.reader.client.is_some().then(|| name(self.reader.lane.place, number));
                Poll::Ready(Some(Ok(event(place.as_deref(), &message))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                std::task::ready!(self.quiet.as_mut().poll(context));
                self.quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
                Poll::Ready(Some(Ok(Bytes::from_static(b":\n\n"))))
            }
        }
    }
}

/// One event. A message may have come with line ends between its parts; each line is a line of the event's data.
fn event(place: Option<&str>, message: &[u8]) -> Bytes {
    let mut text = BytesMut::with_capacity(message.len() + 48);
    if let Some(place) = place {
        text.put_slice(b"id: ");
        text.put_slice(place.as_bytes());
        text.put_u8(b'\n');
    }
    for line in message.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty()) {
        text.put_slice(b"data: ");
        text.put_slice(line);
        text.put_u8(b'\n');
    }
    text.put_u8(b'\n');
    text.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_several_lines_is_one_event() {
        let text = event(Some("3/7"), b"{\r\n\"a\":\n1}\n");
        assert_eq!(text, "id: 3/7\ndata: {\ndata: \"a\":\ndata: 1}\n\n");
        assert_eq!(event(None, b"{}"), "data: {}\n\n");
    }
}
