//! What a ledger keeps.

use std::time::Duration;

use cost_calculator::{Cost, Usage};
use jiff::Timestamp;
use models::FinishReason;

use crate::Totals;

/// One message and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// When the message arrived.
    pub at: Timestamp,
    /// The conversation it belongs to.
    pub conversation: Option<String>,
    /// What was asked.
    pub message: String,
    /// The answer, or as much of it as arrived; empty without one.
    pub answer: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Full id of the model.
    pub model: String,
    /// Tokens.
    pub usage: Usage,
    /// What they cost.
    pub cost: Cost,
    /// From the message to the outcome.
    pub duration: Duration,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The model answered.
    Answered {
        /// Why it stopped.
        finish_reason: FinishReason,
    },
    /// There is no answer, or only a part of it.
    Failed {
        /// Stable name of the error.
        code: String,
    },
    /// The caller went away.
    Cancelled,
    /// The program was killed in the middle: the provider may have answered, and billed it.
    Interrupted,
    /// Announced, and not over yet.
    Open,
}

/// An exchange with its place in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its id: later exchanges have larger ones.
    pub id: i64,
    /// The exchange.
    pub exchange: Exchange,
}

/// What makes two requests the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The caller's key.
    pub key: String,
    /// A digest of the request that it stands for.
    pub fingerprint: [u8; 32],
}

/// Whether an announced exchange may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It may: this is its id.
    New(i64),
    /// Its key has an answer already.
    Answered(Box<Recorded>),
    /// Its key is being answered right now.
    Open,
    /// Its key stands for another request.
    Mismatch,
}

/// Which part of the history to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only this conversation.
    pub conversation: Option<String>,
    /// Only exchanges older than the one with this id.
    pub before: Option<i64>,
    /// Most exchanges to read.
    pub limit: usize,
}

/// A part of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// Newest first.
    pub exchanges: Vec<Recorded>,
    /// Whether older ones follow.
    pub more: bool,
    /// Sums: of the conversation that was asked for as far as it is kept, or of everything ever recorded.
    pub totals: Totals,
}

/// One conversation, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: String,
    /// Its exchanges, as far as they are kept.
    pub exchanges: u64,
    /// Id of its last exchange: where it stands among the conversations.
    pub last_id: i64,
    /// When the last message arrived.
    pub last_at: Timestamp,
    /// The beginning of its first message, as far as that is kept: at most [`BEGINNING_CHARS`] characters.
    pub beginning: String,
}

/// Most characters of [`Conversation::beginning`].
pub const BEGINNING_CHARS: usize = 200;

/// Which conversations to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationsQuery {
    /// Only those whose id begins so; they come by id, the last first. Without a prefix the newest come first.
    pub id_prefix: String,
    /// Only those whose last exchange is older than this one.
    pub before: Option<i64>,
    /// Most conversations to read.
    pub limit: usize,
}

/// A part of the list of conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationsPage {
    /// The one that went on last is first.
    pub conversations: Vec<Conversation>,
    /// Whether others follow.
    pub more: bool,
}
