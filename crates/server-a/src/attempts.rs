//! One message, sent until it is answered: under one idempotency key, so that server-b asks the model once.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream::FuturesUnordered};
use models::{ProcessRequest, ProcessResponse, ResponseStatus, StreamEvent};
use resilience::Backoff;
use responder_client::{Call, ResponderClient, ResponderError};
use telemetry::TraceParent;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use crate::{Stage, pending::Progress};

/// What all attempts at one message share.
pub(crate) struct Attempts<'a> {
    pub(crate) responder: &'a ResponderClient,
    pub(crate) backoff: Backoff,
    pub(crate) request: &'a ProcessRequest,
    pub(crate) call: Call<'a>,
    pub(crate) trace: TraceParent,
    pub(crate) stages: Option<&'a mpsc::Sender<Stage>>,
}

/// What happens next, and when, unless an open attempt is answered before.
enum Step {
    /// The newest attempt has taken too long.
    TimeOut(Instant),
    /// The next attempt is sent.
    Send(Instant),
    /// The open attempts, after which no other follows, have taken too long; this is the last failure.
    GiveUp(Instant, ResponderError),
}

impl Step {
    fn at(&self) -> Instant {
        match self {
            Self::TimeOut(at) | Self::Send(at) | Self::GiveUp(at, _) => *at,
        }
    }
}

impl Attempts<'_> {
    /// Asks for the answer in one piece, until there is one or nothing more to hope for.
    ///
    /// An attempt that takes too long is followed by another but stays open: server-b lets a request join the call that is
    /// under way for its key, and cancels a call whose last request is closed. Were the old one closed first, every attempt
    /// would pay for a call of its own. The first answer counts; returning, or dropping this, closes all requests.
    pub(crate) async fn whole(&self, progress: &mut Progress) -> Result<ProcessResponse, ResponderError> {
        let after = self.responder.timeout();
        let mut open = FuturesUnordered::new();
        let mut newest = 0;
        loop {
            newest += 1;
            progress.sent();
            self.tell(Stage::Sent(newest));
            open.push(self.numbered(newest));
            let deadline = Instant::now() + after;
            let mut step = Step::TimeOut(deadline);
            loop {
                let error = tokio::select! {
                    biased;
                    Some((attempt, outcome)) = open.next() => {
                        let error = match outcome {
                            Ok(response) => return Ok(response),
                            Err(error) => error,
                        };
                        progress.failed(&error);
                        if !error.retryable() {
                            return Err(error);
                        }
                        if attempt < newest && matches!(step, Step::TimeOut(_)) {
                            continue; // the newest may still be answered
                        }
                        error
                    }
                    () = sleep_until(step.at()) => match step {
                        Step::TimeOut(_) => ResponderError::TimedOut { after },
                        Step::Send(_) => break,
                        Step::GiveUp(_, error) => return Err(error),
                    },
                };
                step = match self.wait_after(newest, &error) {
                    Some(wait) => Step::Send(Instant::now() + wait),
                    None if open.is_empty() => return Err(error),
                    None => Step::GiveUp(deadline, error),
                };
            }
        }
    }

    /// Asks for the answer piece by piece. A part of an answer is not asked for again: the new one would repeat it. Neither
    /// is a stream that took too long: a stream cannot be joined, so another one would pay for another call.
    pub(crate) async fn streamed(
        &self,
        pieces: Option<&mpsc::Sender<String>>,
        progress: &mut Progress,
    ) -> Result<ProcessResponse, ResponderError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            progress.sent();
            self.tell(Stage::Sent(attempt));
            let error = match self.stream(pieces, progress).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            progress.failed(&error);
            let hopeful = error.retryable()
                && progress.received.is_empty()
                && !matches!(error, ResponderError::TimedOut { .. });
            if !hopeful {
                return Err(error);
            }
            let Some(wait) = self.wait_after(attempt, &error) else { return Err(error) };
            sleep(wait).await;
        }
    }

    async fn numbered(&self, attempt: u32) -> (u32, Result<ProcessResponse, ResponderError>) {
        (attempt, self.responder.process(self.request, &self.call).await)
    }

    async fn stream(
        &self,
        pieces: Option<&mpsc::Sender<String>>,
        progress: &mut Progress,
    ) -> Result<ProcessResponse, ResponderError> {
        let events = self.responder.stream(self.request, &self.call).await?;
        collect(events, pieces, &mut progress.received).await
    }

    /// The wait before the next attempt; `None` when there is none.
    fn wait_after(&self, attempt: u32, error: &ResponderError) -> Option<Duration> {
        let wait = self.backoff.wait_after(attempt, error.retry_after(), random_fraction())?;
        let (trace, code) = (self.trace.trace_id(), error.code());
        let wait_ms = wait.as_millis();
        tracing::warn!(trace.id = trace, attempt, error.code = code, wait_ms, "trying again");
        self.tell(Stage::Waiting { attempt, code: code.to_owned(), wait });
        Some(wait)
    }

    /// There are few stages, and who is too slow for them misses some.
    fn tell(&self, stage: Stage) {
        if let Some(stages) = self.stages {
            let _ = stages.try_send(stage);
        }
    }
}

/// Puts the pieces together; `received` grows with each.
async fn collect(
    mut events: impl Stream<Item = Result<StreamEvent, ResponderError>> + Unpin,
    pieces: Option<&mpsc::Sender<String>>,
    received: &mut String,
) -> Result<ProcessResponse, ResponderError> {
    let mut end = None;
    while let Some(event) = events.next().await {
        match event? {
            StreamEvent::Piece(piece) => {
                received.push_str(&piece.content);
                if let Some(pieces) = pieces {
                    // Nobody listens any more: the whole answer still goes into the result.
                    let _ = pieces.send(piece.content).await;
                }
            }
            StreamEvent::End(complete) => end = Some(complete),
            StreamEvent::Error(failure) => return Err(ResponderError::StreamFailed(failure)),
        }
    }
    let end = end.ok_or(ResponderError::BrokenStream)?;
    Ok(ProcessResponse {
        status: ResponseStatus::Success,
        ai_response: std::mem::take(received),
        model: end.model,
        usage: end.usage,
        timestamp: end.timestamp,
        processing_time: end.processing_time,
        finish_reason: end.finish_reason,
    })
}

/// 0.0 to 1.0. The standard library's hasher is seeded at random.
fn random_fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    random as f64 / u64::MAX as f64
}
