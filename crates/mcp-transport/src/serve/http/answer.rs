//! The response to a request: one message when nothing comes before its answer, else a stream.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use axum::{http::StatusCode, response::Response};
use json_rpc::Outcome;
use tokio::time::sleep;

use super::{
    call::Call,
    events,
    reader::Reader,
    refusal::{json, status},
};

/// How long a response may have no head: some on the way give up on those that take longer.
const SILENCE: Duration = Duration::from_secs(3);
/// The same for a client that can come back to a response that breaks off, once it knows its place.
const RESUMABLE_SILENCE: Duration = Duration::from_millis(50);

/// What comes first.
enum First {
    /// The end; `None` when nobody wants the answer any more.
    End(Option<Outcome>),
    /// Another message, or nothing for a while.
    More,
}

/// Answers a client that is here for this request only. `is_complete` when the request had said what each must say.
pub(super) async fn brief(mut call: Call, reader: Reader, is_complete: bool) -> Response {
    match first(&mut call, &reader, SILENCE).await {
        First::End(Some(outcome)) => {
            let status = outcome.as_ref().map_or_else(|error| status(error, is_complete), |_| StatusCode::OK);
            json(status, call.response(outcome))
        }
        First::End(None) => events::none(),
        First::More => events::answer(call, reader),
    }
}

/// Answers a request of a session.
pub(super) async fn in_session(mut call: Call, reader: Reader) -> Response {
    let primes = reader.client.as_ref().is_some_and(|client| client.primes());
    let silence = if primes { RESUMABLE_SILENCE } else { SILENCE };
    match first(&mut call, &reader, silence).await {
        First::End(Some(outcome)) => json(StatusCode::OK, call.response(outcome)),
        First::End(None) => events::none(),
        First::More => events::answer(call, reader),
    }
}

async fn first(call: &mut Call, reader: &Reader, silence: Duration) -> First {
    let mut silence = pin!(sleep(silence));
    let first = poll_fn(|context| {
        if let Poll::Ready(ended) = call.poll(context) {
            return Poll::Ready(First::End(ended));
        }
        if reader.poll_unread(context).is_ready() {
            return Poll::Ready(First::More);
        }
        silence.as_mut().poll(context).map(|()| First::More)
    })
    .await;
    match first {
        // What was told before it must come before it.
        First::End(ended) if reader.lane.has_unread() => {
            call.finish(ended);
            First::More
        }
        first => {
            if let First::End(_) = first {
                reader.lane.finish(None); // links that are kept lead nowhere now
            }
            first
        }
    }
}
