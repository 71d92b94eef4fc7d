#![doc = include_str!("../README.md")]

mod error;
mod exchange;
mod location;
mod rows;
mod runs;
mod schema;
mod totals;
mod writer;

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{mpsc, oneshot};

pub use error::LedgerError;
pub use exchange::{
    BEGINNING_CHARS, Claim, Conversation, ConversationsPage, ConversationsQuery, Exchange, HistoryPage,
    HistoryQuery, IdempotencyKey, Outcome, Recorded,
};
pub use location::Location;
pub use runs::{Hold, KnownCall, KnownRun, NewRun, Resumption, Runs};
pub use totals::{ModelTotals, Totals};
use writer::{Command, Reply};

/// Whose rows a ledger reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The messenger; several may share one file.
    ServerA,
    /// The AI responder; it has its file to itself among its kind.
    ServerB,
    /// The gateway; several may share one file.
    Gateway,
}

/// How to keep a ledger.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whose rows to read and write.
    pub owner: Owner,
    /// Exchanges that the file keeps; older ones are deleted, their sums stay. 0 keeps all.
    pub max_exchanges: u64,
}

/// A handle on the ledger; clones share the same writer.
#[derive(Clone)]
pub struct Ledger {
    /// Bounded by its senders: each caller waits for one command at a time, and callers are bounded by their servers.
    commands: mpsc::UnboundedSender<Command>,
    /// Whether the last write failed.
    failing: Arc<AtomicBool>,
    /// Held while any handle lives, so that no second server-b recovers rows that are still being written.
    _lock: Option<Arc<File>>,
}

impl Ledger {
    /// Opens the ledger at `location`, makes it where there is none, and brings its schema up to date.
    ///
    /// For server-b it also settles what a crash left open: see [`Outcome::Interrupted`].
    ///
    /// # Errors
    /// When the file cannot be made or read, belongs to a newer version, or another server-b uses it.
    pub fn open(location: &Location, options: Options) -> Result<Self, LedgerError> {
        let lock = match options.owner {
            Owner::ServerA | Owner::Gateway => None,
            Owner::ServerB => location.lock()?.map(Arc::new),
        };
        let connection = schema::open(location)?;
        let failing = Arc::default();
        let commands = writer::start(connection, options, Arc::clone(&failing))?;
        Ok(Self { commands, failing, _lock: lock })
    }

    /// Announces an exchange that may be billed, before its provider is called. With a key, the same key is announced
    /// only once: see [`Claim`].
    ///
    /// `exchange` carries the least that it can cost, for the case that its end is never heard of.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn begin(
        &self,
        mut exchange: Exchange,
        key: Option<IdempotencyKey>,
    ) -> Result<Claim, LedgerError> {
        exchange.outcome = Outcome::Open;
        let (reply, answer) = oneshot::channel();
        let command = Command::Begin { exchange: Box::new(exchange), key, reply };
        self.commands.send(command).map_err(|_| LedgerError::Stopped)?;
        let mut unheard = Unheard { answer, commands: &self.commands };
        (&mut unheard.answer).await.map_err(|_| LedgerError::Stopped)?
    }

    /// Records how an exchange ended: the one announced as `id`, or one that was not announced. A key stays only with an
    /// answer.
    ///
    /// It is handed over at once: a caller that stops waiting does not lose it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn finish(
        &self,
        id: Option<i64>,
        exchange: Exchange,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        // When the writer has stopped, the answer says so.
        let _ = self.commands.send(Command::Finish { id, exchange: Box::new(exchange), reply });
        async { answer.await.map_err(|_| LedgerError::Stopped)? }
    }

    /// Records an exchange that was not announced, and gives its id.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn record(&self, exchange: Exchange) -> Result<i64, LedgerError> {
        self.ask(|reply| Command::Record { exchange: Box::new(exchange), reply }).await
    }

    /// A page of the history, newest first. Exchanges that are still open are left out.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, LedgerError> {
        self.ask(|reply| Command::History { query, reply }).await
    }

    /// A part of the list of conversations; the one that went on last is first. A conversation is there as long as one of its
    /// exchanges is kept.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn conversations(&self, query: ConversationsQuery) -> Result<ConversationsPage, LedgerError> {
        self.ask(|reply| Command::Conversations { query, reply }).await
    }

    /// The number of conversations whose id begins with `id_prefix`; `None` when they are more than `most`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_conversations(
        &self,
        id_prefix: String,
        most: usize,
    ) -> Result<Option<usize>, LedgerError> {
        self.ask(|reply| Command::CountConversations { id_prefix, most, reply }).await
    }

    /// The conversation with this id, if one of its exchanges is kept.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn conversation(&self, id: String) -> Result<Option<Conversation>, LedgerError> {
        self.ask(|reply| Command::Conversation { id, reply }).await
    }

    /// Sums over everything ever recorded, deleted exchanges included.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn totals(&self) -> Result<Totals, LedgerError> {
        self.ask(|reply| Command::Totals { reply }).await
    }

    /// Whether the last write went well, as far as anything was written.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.commands.is_closed() && !self.failing.load(Ordering::Relaxed)
    }

    /// Waits until everything asked before is on disk, and folds the write-ahead log into the file.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        self.ask(|reply| Command::Flush { reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).map_err(|_| LedgerError::Stopped)?;
        answer.await.map_err(|_| LedgerError::Stopped)?
    }
}

/// A claim that its caller may never hear of, because it goes away while it waits. Its provider is not called then, so
/// the claim is withdrawn: an open row would block its key.
struct Unheard<'l> {
    answer: oneshot::Receiver<Result<Claim, LedgerError>>,
    commands: &'l mpsc::UnboundedSender<Command>,
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        // From here on the writer itself withdraws what nobody takes.
        self.answer.close();
        if let Ok(Ok(Claim::New(id))) = self.answer.try_recv() {
            // A writer that has stopped has nothing to withdraw.
            let _ = self.commands.send(Command::Withdraw { id });
        }
    }
}
