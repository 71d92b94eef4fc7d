//! The thread that owns the database: takes what is waiting, writes it in one transaction, then answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Claim, Conversation, ConversationsPage, ConversationsQuery, Exchange, HistoryPage, HistoryQuery,
    IdempotencyKey, LedgerError, Options, Totals, rows::Rows,
};

/// Writes that share one transaction at most.
const BATCH: usize = 256;
/// How long a busy ledger waits for company, for every write that came together last time: one flush to disk costs as much
/// as many rows, and the more callers there are the more it saves. At most about as long as a flush takes.
const GATHER: Duration = Duration::from_micros(5);
const GATHER_MAX: Duration = Duration::from_micros(500);
/// Writes after which old exchanges are deleted.
const PRUNE_EVERY: u64 = 256;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

/// What the writer can be asked.
pub(crate) enum Command {
    Begin { exchange: Box<Exchange>, key: Option<IdempotencyKey>, reply: Reply<Claim> },
    Finish { id: Option<i64>, exchange: Box<Exchange>, reply: Reply<()> },
    Record { exchange: Box<Exchange>, reply: Reply<i64> },
    Withdraw { id: i64 },
    History { query: HistoryQuery, reply: Reply<HistoryPage> },
    Totals { reply: Reply<Totals> },
    Conversations { query: ConversationsQuery, reply: Reply<ConversationsPage> },
    CountConversations { id_prefix: String, most: usize, reply: Reply<Option<usize>> },
    Conversation { id: String, reply: Reply<Option<Conversation>> },
    Flush { reply: Reply<()> },
}

/// An answer that waits for the commit. A caller that went away does not need it.
enum Answer {
    Claim(Reply<Claim>, Claim),
    Finished(Reply<()>),
    Recorded(Reply<i64>, i64),
}

/// Starts the thread. It ends when the last sender is dropped, after everything that was sent is on disk.
pub(crate) fn start(
    connection: Connection,
    options: Options,
    failing: Arc<AtomicBool>,
) -> Result<mpsc::UnboundedSender<Command>, LedgerError> {
    let mut writer = Writer { connection, options, failing, written: PRUNE_EVERY };
    if options.owner == crate::Owner::ServerB {
        writer.settle_interrupted()?;
    }
    let (sender, commands) = mpsc::unbounded_channel();
    thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || writer.run(commands))
        .map_err(|error| LedgerError::Open { path: "ledger".into(), source: Arc::new(error) })?;
    Ok(sender)
}

struct Writer {
    connection: Connection,
    options: Options,
    failing: Arc<AtomicBool>,
    /// Writes since old exchanges were deleted. The first one deletes too: short lives add up.
    written: u64,
}

impl Writer {
    fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut company = 0;
        while commands.blocking_recv_many(&mut batch, BATCH) > 0 {
            // A lone caller is never made to wait.
            if company > 1 && batch.len() < BATCH {
                thread::sleep((GATHER * company).min(GATHER_MAX));
                while batch.len() < BATCH
                    && let Ok(command) = commands.try_recv()
                {
                    batch.push(command);
                }
            }
            company = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            let (writes, reads): (Vec<_>, Vec<_>) = batch.drain(..).partition(Command::is_write);
            if !writes.is_empty() {
                self.write(writes);
            }
            for command in reads {
                self.read(command);
            }
        }
    }

    fn write(&mut self, commands: Vec<Command>) {
        let count = commands.len() as u64;
        let mut answers = Vec::with_capacity(commands.len());
        self.failing.store(false, Ordering::Relaxed);
        let done = self.transact(commands, &mut answers);
        self.failing.fetch_or(done.is_err(), Ordering::Relaxed);
        match done {
            Ok(()) => {
                for id in answers.into_iter().filter_map(Answer::send) {
                    self.withdraw(id);
                }
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the ledger could not be written");
                answers.into_iter().for_each(|answer| answer.fail(&error));
            }
        }
        self.written += count;
        if self.options.max_exchanges > 0 && self.written >= PRUNE_EVERY {
            self.written = 0;
            if let Err(error) = self.rows().prune(self.options.max_exchanges) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old exchanges could not be deleted"
                );
            }
        }
    }

    /// Applies `commands` in one transaction. When it fails, every answer collected so far and to come is the failure.
    fn transact(&mut self, commands: Vec<Command>, answers: &mut Vec<Answer>) -> Result<(), LedgerError> {
        let mut commands = commands.into_iter();
        let mut work = || -> Result<(), LedgerError> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let rows = Rows::new(&transaction, self.options.owner);
            let mut totals = Totals::default();
            for command in commands.by_ref() {
                self.failing.fetch_or(!apply(&rows, command, &mut totals, answers), Ordering::Relaxed);
                // A full disk makes SQLite roll back by itself: what follows would be committed row by row.
                if transaction.is_autocommit() {
                    return Err(LedgerError::RolledBack);
                }
            }
            rows.add_totals(&totals)?;
            Ok(transaction.commit()?)
        };
        let done = work();
        if let Err(error) = &done {
            commands.for_each(|command| command.fail(error));
        }
        done
    }

    /// Takes back a claim that nobody heard of.
    fn withdraw(&self, id: i64) {
        if let Err(error) = self.rows().withdraw(id) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an unheard claim could not be withdrawn"
            );
        }
    }

    fn read(&mut self, command: Command) {
        // A caller that went away does not need its answer.
        match command {
            Command::History { query, reply } => drop(reply.send(self.rows().history(&query))),
            Command::Totals { reply } => drop(reply.send(self.rows().totals())),
            Command::Conversations { query, reply } => drop(reply.send(self.rows().conversations(&query))),
            Command::CountConversations { id_prefix, most, reply } => {
                drop(reply.send(self.rows().count_conversations(&id_prefix, most)));
            }
            Command::Conversation { id, reply } => drop(reply.send(self.rows().conversation(&id))),
            Command::Flush { reply } => drop(reply.send(self.checkpoint())),
            Command::Begin { .. }
            | Command::Finish { .. }
            | Command::Record { .. }
            | Command::Withdraw { .. } => {
                debug_assert!(false, "writes are not read");
            }
        }
    }

    /// Folds the write-ahead log into the file. Every commit is on disk before, so a busy reader does no harm.
    fn checkpoint(&self) -> Result<(), LedgerError> {
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    fn settle_interrupted(&mut self) -> Result<(), LedgerError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let rows = Rows::new(&transaction, self.options.owner);
        let mut totals = Totals::default();
        let interrupted = rows.interrupt_open()?;
        interrupted.iter().for_each(|exchange| totals.add(exchange));
        rows.add_totals(&totals)?;
        transaction.commit()?;
        if !interrupted.is_empty() {
            tracing::warn!(
                exchanges = interrupted.len(),
                "calls were cut off by a crash; they are on the bill as interrupted, with the least they can have cost"
            );
        }
        Ok(())
    }

    fn rows(&self) -> Rows<'_> {
        Rows::new(&self.connection, self.options.owner)
    }
}

/// Applies one write, and says whether it could be applied. One that fails alone answers at once and leaves the others
/// alone.
fn apply(rows: &Rows<'_>, command: Command, totals: &mut Totals, answers: &mut Vec<Answer>) -> bool {
    match try_apply(rows, command, totals, answers) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "an exchange could not be recorded");
            false
        }
    }
}

fn try_apply(
    rows: &Rows<'_>,
    command: Command,
    totals: &mut Totals,
    answers: &mut Vec<Answer>,
) -> Result<(), LedgerError> {
    match command {
        // Nobody waits for it any more: its provider is not called, so nothing is announced.
        Command::Begin { reply, .. } if reply.is_closed() => {}
        Command::Begin { exchange, key, reply } => match rows.claim(&exchange, key.as_ref()) {
            Ok(claim) => answers.push(Answer::Claim(reply, claim)),
            Err(error) => return Err(refuse(reply, error)),
        },
        Command::Finish { id, exchange, reply } => match rows.settle(id, &exchange) {
            Ok(()) => {
                totals.add(&exchange);
                answers.push(Answer::Finished(reply));
            }
            Err(error) => return Err(refuse(reply, error)),
        },
        Command::Record { exchange, reply } => match rows.insert(&exchange, None) {
            Ok(id) => {
                totals.add(&exchange);
                answers.push(Answer::Recorded(reply, id));
            }
            Err(error) => return Err(refuse(reply, error)),
        },
        Command::Withdraw { id } => rows.withdraw(id)?,
        Command::History { .. }
        | Command::Totals { .. }
        | Command::Conversations { .. }
        | Command::CountConversations { .. }
        | Command::Conversation { .. }
        | Command::Flush { .. } => {
            debug_assert!(false, "reads are not written");
        }
    }
    Ok(())
}

/// Tells the caller why, and hands the reason on.
fn refuse<T>(reply: Reply<T>, error: LedgerError) -> LedgerError {
    // A caller that went away does not need it.
    drop(reply.send(Err(error.clone())));
    error
}

impl Command {
    fn is_write(&self) -> bool {
        match self {
            Self::Begin { .. } | Self::Finish { .. } | Self::Record { .. } | Self::Withdraw { .. } => true,
            Self::History { .. }
            | Self::Totals { .. }
            | Self::Conversations { .. }
            | Self::CountConversations { .. }
            | Self::Conversation { .. }
            | Self::Flush { .. } => false,
        }
    }

    fn fail(self, error: &LedgerError) {
        let error = error.clone();
        // A caller that went away does not need its answer.
        match self {
            Self::Begin { reply, .. } => drop(reply.send(Err(error))),
            Self::Finish { reply, .. } | Self::Flush { reply } => drop(reply.send(Err(error))),
            Self::Record { reply, .. } => drop(reply.send(Err(error))),
            Self::History { reply, .. } => drop(reply.send(Err(error))),
            Self::Totals { reply } => drop(reply.send(Err(error))),
            Self::Conversations { reply, .. } => drop(reply.send(Err(error))),
            Self::CountConversations { reply, .. } => drop(reply.send(Err(error))),
            Self::Conversation { reply, .. } => drop(reply.send(Err(error))),
            Self::Withdraw { .. } => {}
        }
    }
}

impl Answer {
    /// Gives the answer, or the id of a new claim that its caller did not wait for.
    fn send(self) -> Option<i64> {
        match self {
            Self::Claim(reply, claim) => match reply.send(Ok(claim)) {
                Err(Ok(Claim::New(id))) => return Some(id),
                _ => return None,
            },
            Self::Finished(reply) => drop(reply.send(Ok(()))),
            Self::Recorded(reply, id) => drop(reply.send(Ok(id))),
        }
        None
    }

    fn fail(self, error: &LedgerError) {
        let error = error.clone();
        match self {
            Self::Claim(reply, _) => drop(reply.send(Err(error))),
            Self::Finished(reply) => drop(reply.send(Err(error))),
            Self::Recorded(reply, _) => drop(reply.send(Err(error))),
        }
    }
}
