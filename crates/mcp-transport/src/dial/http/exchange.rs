//! One request whose answer comes as a stream: the outcome is its end, and before it the server may ask and tell.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use json_rpc::{Message, Notification, Outcome, Raw};
use reqwest::Response;
use tokio::time::{sleep, timeout};

use super::{
    Inner,
    answer::{Asked, not_read},
    fate::HttpError,
    headers::{Manner, Stage},
    reading::{Closed, Place, message},
};
use crate::{
    LineHost, Party,
    connect::{events::Events, link::LinkError},
};

/// How often in a row a stream that broke is opened again and brings nothing, before the answer is given up.
const MAX_FAILURES: u32 = 5;
/// Longest wait for the end of a stream after its answer; then its connection is closed instead of used again.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Most streams whose end is waited for at the same time.
const MAX_ENDINGS: usize = 128;

/// Who hears and answers what a server says during a request.
#[derive(Clone, Copy)]
pub(super) enum Hearer<'h> {
    Host(&'h Arc<dyn LineHost>),
    Party(&'h Arc<dyn Party>),
}

impl Hearer<'_> {
    pub(super) async fn told(self, notification: Notification) {
        match self {
            Self::Host(host) => host.told(notification),
            Self::Party(party) => party.told(notification).await,
        }
    }

    pub(super) async fn asked(self, method: &str, params: Option<Raw>) -> Outcome {
        match self {
            Self::Host(host) => host.asked(method, params).await,
            Self::Party(party) => party.asked(method, params).await,
        }
    }
}

/// A request and who made it.
pub(super) struct Exchange<'e> {
    pub(super) inner: &'e Arc<Inner>,
    pub(super) asked: Asked,
    pub(super) manner: &'e Manner,
    pub(super) hearer: Hearer<'e>,
}

/// A stream, and where it is.
struct Reading {
    events: Events,
    place: Place,
}

impl Exchange<'_> {
    /// Reads the stream up to the outcome.
    pub(super) async fn outcome(&self, events: Events) -> Result<Outcome, HttpError> {
        let reading = Reading { events, place: Place::default() };
        let mut questions = FuturesUnordered::new();
        let mut next = pin!(self.next(reading));
        loop {
            let read = tokio::select! {
                read = &mut next => read,
                Some(()) = questions.next() => continue,
            };
            let (message, reading) = read?;
            match message {
                Message::Response(response) if self.asked.is_answered_by(response.id.as_ref()) => {
                    self.inner.end(reading.events);
                    return Ok(response.outcome);
                }
                Message::Response(_) => {} // nobody waits for it
                Message::Notification(told) if self.inner.questions.cancel(&told) => {}
                Message::Notification(told) => self.hearer.told(told).await,
                Message::Request(question) => {
                    questions.push(self.inner.answer(question, self.hearer).boxed());
                }
            }
            next.set(self.next(reading));
        }
    }

    /// The next message, from another stream if this one breaks.
    async fn next(&self, mut reading: Reading) -> Result<(Message, Reading), HttpError> {
        loop {
            let broke = match reading.events.next().await {
                Ok(Some(event)) => {
                    reading.place.moved();
                    match message(&event) {
                        Ok(Some(message)) => return Ok((message, reading)),
                        Err(error) if error.id.is_some() && self.asked.is_answered_by(error.id.as_ref()) => {
                            return Err(HttpError::lost(format!("its answer cannot be read: {error}")));
                        }
                        Ok(None) | Err(_) => continue,
                    }
                }
                Ok(None) => HttpError::lost("the server's answer ended before it was complete"),
                Err(error @ LinkError::Http(_)) => not_read(error),
                Err(error) => return Err(not_read(error)), // the same would come again
            };
            reading.place.left(&reading.events);
            reading.events.close();
            reading.events = self.again(&mut reading.place, broke).await?;
        }
    }

    /// The stream from where it broke on.
    async fn again(&self, place: &mut Place, broke: HttpError) -> Result<Events, HttpError> {
        if self.manner.stage() != Stage::Legacy || !place.is_known() {
            return Err(broke);
        }
        while place.failures() < MAX_FAILURES {
            sleep(place.wait()).await;
            match self.inner.open(self.manner, place).await {
                Ok(events) => return Ok(events),
                Err(Closed::Forgotten) if self.asked.in_session => {
                    self.inner.gone("the server has forgotten the session");
                    break;
                }
                Err(Closed::Refused | Closed::Forgotten) => break,
                Err(Closed::Unreachable | Closed::Busy) => {}
            }
        }
        Err(broke)
    }
}

impl Inner {
    /// Reads an answered stream to its end, so that its connection can be used again.
    fn end(&self, events: Events) {
        let Some(mut response) = events.into_response() else { return };
        // Most servers send the end together with the answer.
        if ends(&mut response).now_or_never().is_none() && self.tasks.len() < MAX_ENDINGS {
            let closed = self.closed.clone();
            self.tasks.spawn(async move {
                let _ = closed.run_until_cancelled(timeout(LAST_WORDS, ends(&mut response))).await;
            });
        }
    }
}

/// Waits for the end. Whatever comes instead, the connection is of no more use.
async fn ends(response: &mut Response) {
    while matches!(response.chunk().await, Ok(Some(chunk)) if chunk.len() < 1024) {}
}
