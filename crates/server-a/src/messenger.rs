//! The messenger: sends messages to server-b, keeps at it, and remembers what became of them.

use std::{sync::Arc, time::Duration};

use ledger::{
    Conversation, ConversationsPage, ConversationsQuery, HistoryPage, HistoryQuery, Ledger, LedgerError,
    Totals,
};
use mcp_transport::Subscribers;
use models::{ConfigResponse, HealthResponse, ModelsResponse, ProcessRequest, ProcessResponse};
use resilience::Backoff;
use responder_client::{Call, ResponderClient, ResponderError};
use telemetry::TraceParent;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Failure,
    attempts::Attempts,
    catalogue::Catalogue,
    conversation::{self, Earlier},
    pending::{Announcement, Pending, Progress},
};

/// Sends messages to one server-b and keeps their history.
pub struct Messenger {
    responder: ResponderClient,
    ledger: Ledger,
    backoff: Backoff,
    catalogue: Catalogue,
    subscribers: Subscribers,
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
    /// Calls it off: its HTTP requests are closed at once.
    pub cancelled: CancellationToken,
    /// The trace that it belongs to.
    pub trace: TraceParent,
    /// In one piece, or piece by piece.
    pub mode: Mode,
    /// Who wants to hear how it gets on. What finds no place there is left out.
    pub stages: Option<mpsc::Sender<Stage>>,
}

/// How a message gets on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// An attempt is on its way; they are counted from 1.
    Sent(u32),
    /// An attempt has failed, and the next one follows.
    Waiting {
        /// The attempt that failed.
        attempt: u32,
        /// Stable name of the error.
        code: String,
        /// Time until the next one.
        wait: Duration,
    },
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
        let (catalogue, subscribers) = (Catalogue::default(), Subscribers::default());
        Self { responder, ledger, backoff, catalogue, subscribers }
    }

    /// The same messenger, which tells these subscribers of every exchange that it records.
    #[must_use]
    pub fn telling(self, subscribers: Subscribers) -> Self {
        Self { subscribers, ..self }
    }

    /// Sends a message and waits for its answer. What became of it is in the ledger when this returns.
    ///
    /// # Errors
    /// When the conversation cannot be read, the delivery is called off, or server-b gives no answer after all attempts.
    pub async fn send(&self, mut message: Message, delivery: Delivery) -> Result<Sent, Failure> {
        let (conversation, begins) = match message.conversation.take() {
            Some(id) => {
                let Earlier { turns, begins } = self.earlier(&id).await?;
                message.request.history = (!turns.is_empty()).then_some(turns);
                (id, begins)
            }
            None => (conversation::new_id(), true),
        };
        let announcement = Announcement::new(&self.subscribers, &conversation, begins);
        let mut pending = Pending::new(&self.ledger, &message, &conversation, announcement);
        let outcome = tokio::select! {
            biased;
            () = delivery.cancelled.cancelled() => None,
            outcome = self.attempts(&message.request, &delivery, &mut pending.progress) => Some(outcome),
        };
        match outcome {
            Some(Ok(response)) => {
                let warning = lost(pending.answered(&response).await, delivery.trace);
                Ok(Sent { response, conversation, warning })
            }
            Some(Err(error)) => {
                lost(pending.failed(&error).await, delivery.trace);
                Err(self.responder_failed(&error))
            }
            None => {
                lost(pending.cancelled().await, delivery.trace);
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

    /// A part of the list of conversations; the one that went on last is first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn conversations(&self, query: ConversationsQuery) -> Result<ConversationsPage, Failure> {
        self.ledger.conversations(query).await.map_err(|error| ledger_failed(&error))
    }

    /// The number of conversations whose id begins so; `None` when they are more than `most`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_conversations(
        &self,
        id_prefix: String,
        most: usize,
    ) -> Result<Option<usize>, Failure> {
        self.ledger.count_conversations(id_prefix, most).await.map_err(|error| ledger_failed(&error))
    }

    /// The conversation with this id, if there is one.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn conversation(&self, id: &str) -> Result<Option<Conversation>, Failure> {
        self.ledger.conversation(id.to_owned()).await.map_err(|error| ledger_failed(&error))
    }

    /// What was said before in a conversation.
    pub(crate) async fn earlier(&self, id: &str) -> Result<Earlier, Failure> {
        conversation::earlier(&self.ledger, id).await.map_err(|error| ledger_failed(&error))
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

    /// The models that a message may name, as they were known a moment ago; `None` when server-b does not tell.
    pub async fn recent_models(&self) -> Option<Arc<ModelsResponse>> {
        self.catalogue.models(&self.responder).await
    }

    /// The defaults of a message that names none.
    ///
    /// # Errors
    /// When server-b gives no answer.
    pub async fn config(&self) -> Result<ConfigResponse, Failure> {
        self.responder.config().await.map_err(|error| self.responder_failed(&error))
    }

    /// Sends the message until there is an answer, or nothing more to hope for.
    async fn attempts(
        &self,
        request: &ProcessRequest,
        delivery: &Delivery,
        progress: &mut Progress,
    ) -> Result<ProcessResponse, ResponderError> {
        let key = Uuid::now_v7().to_string();
        let trace = delivery.trace.child().to_string();
        let attempts = Attempts {
            responder: &self.responder,
            backoff: self.backoff,
            request,
            call: Call::new(&key).with_traceparent(&trace),
            trace: delivery.trace,
            stages: delivery.stages.as_ref(),
        };
        let outcome = match &delivery.mode {
            Mode::Whole => attempts.whole(progress).await,
            Mode::Streamed(pieces) => attempts.streamed(pieces.as_ref(), progress).await,
        };
        outcome.inspect_err(|error| {
            let (trace, code) = (delivery.trace.trace_id(), error.code());
            tracing::warn!(trace.id = trace, error.code = code, "server-b gave no answer");
        })
    }

    fn responder_failed(&self, error: &ResponderError) -> Failure {
        Failure::responder(error, &self.responder)
    }
}

fn ledger_failed(error: &LedgerError) -> Failure {
    tracing::error!(error = error as &dyn std::error::Error, "the history cannot be read");
    Failure::ledger(error)
}

/// Says aloud that an exchange is not in the history: here in the log, and for the caller.
fn lost(recorded: Result<(), LedgerError>, trace: TraceParent) -> Option<String> {
    let error = recorded.err()?;
    let cause = &error as &dyn std::error::Error;
    tracing::error!(trace.id = trace.trace_id(), error = cause, "a message is missing in the history");
    Some(format!("this message is missing in the history and in the statistics: {error}"))
}
