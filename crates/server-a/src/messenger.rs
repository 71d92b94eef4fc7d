//! The messenger: sends messages to server-b, keeps at it, and remembers what became of them.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use futures_util::{Stream, StreamExt as _};
use ledger::{HistoryPage, HistoryQuery, Ledger, LedgerError, Totals};
use models::{
    ConfigResponse, HealthResponse, ModelsResponse, ProcessRequest, ProcessResponse, ResponseStatus,
    StreamEvent,
};
use resilience::Backoff;
use responder_client::{Call, ResponderClient, ResponderError};
use telemetry::TraceParent;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Failure, conversation, pending::Pending};

/// Sends messages to one server-b and keeps their history.
pub struct Messenger {
    responder: ResponderClient,
    ledger: Ledger,
    backoff: Backoff,
}

/// A message that keeps the rules, and the conversation that it continues.
#[derive(Debug, Clone)]
pub struct Message {
    /// What to ask. Its `history` is filled in by the messenger.
    pub request: ProcessRequest,
    /// The conversation to continue; a new one is begun when there is none.
    pub conversation: Option<String>,
}

/// How a message is to be delivered.
#[derive(Debug)]
pub struct Delivery {
    /// Calls it off: the HTTP request is closed at once.
    pub cancelled: CancellationToken,
    /// The trace that it belongs to.
    pub trace: TraceParent,
    /// In one piece, or piece by piece.
    pub mode: Mode,
}

/// How an answer comes.
#[derive(Debug)]
pub enum Mode {
    /// In one piece.
    Whole,
    /// Piece by piece. Each goes to the sender, if there is one; the next is read when it has found a place there.
    Streamed(Option<mpsc::Sender<String>>),
}

/// An answer and where it belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// What server-b answered.
    pub response: ProcessResponse,
    /// The conversation; naming it with the next message continues it.
    pub conversation: String,
    /// What went wrong beside the answer.
    pub warning: Option<String>,
}

impl Messenger {
    /// A messenger to this server-b with this memory.
    #[must_use]
    pub fn new(responder: ResponderClient, ledger: Ledger, backoff: Backoff) -> Self {
        Self { responder, ledger, backoff }
    }

    /// Sends a message and waits for its answer. What became of it is in the ledger when this returns.
    ///
    /// # Errors
    /// When the conversation cannot be read, the delivery is called off, or server-b gives no answer after all attempts.
    pub async fn send(&self, mut message: Message, delivery: Delivery) -> Result<Sent, Failure> {
        let conversation = match message.conversation.take() {
            Some(id) => {
                let turns = conversation::earlier_turns(&self.ledger, &id).await;
                let turns = turns.map_err(|error| ledger_failed(&error))?;
                message.request.history = (!turns.is_empty()).then_some(turns);
                id
            }
            None => conversation::new_id(),
        };
        let pending = Pending::new(&self.ledger, &message, &conversation);
        let mut received = String::new();
        let outcome = tokio::select! {
            biased;
            () = delivery.cancelled.cancelled() => None,
            outcome = self.attempts(&message.request, &delivery, &mut received) => Some(outcome),
        };
        match outcome {
            Some(Ok(response)) => {
                let warning = lost(pending.answered(&response).await, delivery.trace);
                Ok(Sent { response, conversation, warning })
            }
            Some(Err(error)) => {
                lost(pending.failed(&error, received).await, delivery.trace);
                Err(self.responder_failed(&error))
            }
            None => {
                lost(pending.cancelled(received).await, delivery.trace);
                Err(Failure::cancelled())
            }
        }
    }

    /// A page of the history, newest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, Failure> {
        self.ledger.history(query).await.map_err(|error| ledger_failed(&error))
    }

    /// Sums over everything ever sent.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn totals(&self) -> Result<Totals, Failure> {
        self.ledger.totals().await.map_err(|error| ledger_failed(&error))
    }

    /// How server-b and its provider are.
    ///
    /// # Errors
    /// When server-b gives no answer.
    pub async fn health(&self) -> Result<HealthResponse, Failure> {
        self.responder.health().await.map_err(|error| self.responder_failed(&error))
    }

    /// The models that a message may name.
    ///
    /// # Errors
    /// When server-b gives no answer.
    pub async fn models(&self) -> Result<ModelsResponse, Failure> {
        self.responder.models().await.map_err(|error| self.responder_failed(&error))
    }

    /// The defaults of a message that names none.
    ///
    /// # Errors
    /// When server-b gives no answer.
    pub async fn config(&self) -> Result<ConfigResponse, Failure> {
        self.responder.config().await.map_err(|error| self.responder_failed(&error))
    }

    /// Tries until there is an answer, nothing more to hope for, or a part of an answer, which a new attempt would repeat.
    async fn attempts(
        &self,
        request: &ProcessRequest,
        delivery: &Delivery,
        received: &mut String,
    ) -> Result<ProcessResponse, ResponderError> {
        let key = Uuid::now_v7().to_string();
        let trace = delivery.trace.child().to_string();
        let call = Call::new(&key).with_traceparent(&trace);
        let mut attempt = 1;
        loop {
            let error = match &delivery.mode {
                Mode::Whole => self.responder.process(request, &call).await,
                Mode::Streamed(pieces) => self.streamed(request, &call, pieces.as_ref(), received).await,
            };
            let error = match error {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let hopeful = error.retryable() && received.is_empty();
            let wait = self.backoff.wait_after(attempt, error.retry_after(), random_fraction());
            let (trace, code) = (delivery.trace.trace_id(), error.code());
            let Some(wait) = wait.filter(|_| hopeful) else {
                tracing::warn!(trace.id = trace, attempt, error.code = code, "server-b gave no answer");
                return Err(error);
            };
            let wait_ms = wait.as_millis();
            tracing::warn!(trace.id = trace, attempt, error.code = code, wait_ms, "trying again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn streamed(
        &self,
        request: &ProcessRequest,
        call: &Call<'_>,
        pieces: Option<&mpsc::Sender<String>>,
        received: &mut String,
    ) -> Result<ProcessResponse, ResponderError> {
        let events = self.responder.stream(request, call).await?;
        collect(events, pieces, received).await
    }

    fn responder_failed(&self, error: &ResponderError) -> Failure {
        Failure::responder(error, &self.responder)
    }
}

fn ledger_failed(error: &LedgerError) -> Failure {
    tracing::error!(error = error as &dyn std::error::Error, "the history cannot be read");
    Failure::ledger(error)
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

/// Says aloud that an exchange is not in the history: here in the log, and for the caller.
fn lost(recorded: Result<(), LedgerError>, trace: TraceParent) -> Option<String> {
    let error = recorded.err()?;
    let cause = &error as &dyn std::error::Error;
    tracing::error!(trace.id = trace.trace_id(), error = cause, "a message is missing in the history");
    Some(format!("this message is missing in the history and in the statistics: {error}"))
}

/// 0.0 to 1.0. The standard library's hasher is seeded at random.
fn random_fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    random as f64 / u64::MAX as f64
}
