//! The thread that owns the journal's connection: what waits for it is done in one transaction, and answered after its commit.

use std::{cell::RefCell, collections::HashMap, sync::Arc, thread};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

pub(super) use super::journal::{Journal, Taking};
use super::{place::Place, tickets::Tickets};
use crate::{LedgerError, Location, schema};

/// What shares one transaction at most.
const BATCH: usize = 256;
/// Transactions after which old runs are deleted.
const PRUNE_EVERY: u32 = 256;

/// Something to do in a transaction; what comes of it waits for the commit.
pub(super) type Work = Box<dyn FnOnce(Result<&Journal<'_>, &LedgerError>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), &LedgerError>)>;

/// Does `ask` and sends what it comes to, once that is on disk.
pub(super) fn work<T: Send + 'static>(
    ask: impl FnOnce(&Journal<'_>) -> Result<T, LedgerError> + Send + 'static,
    reply: oneshot::Sender<Result<T, LedgerError>>,
) -> Work {
    Box::new(move |journal| {
        let done = journal.map_err(Clone::clone).and_then(ask);
        if let Err(error @ (LedgerError::Database(_) | LedgerError::RolledBack)) = &done {
            tracing::error!(error = error as &dyn std::error::Error, "a run could not be journalled");
        }
        Box::new(move |committed| {
            // Whoever went away does not need the answer.
            let _ = reply.send(committed.map_err(Clone::clone).and(done));
        })
    })
}

/// Starts the thread. It ends when the last handle is dropped, after everything that was handed over is on disk.
pub(super) fn start(
    location: &Location,
    tickets: Arc<Tickets>,
) -> Result<mpsc::UnboundedSender<Work>, LedgerError> {
    let connection = schema::open(location)?;
    let place = Place::take(location)?;
    let mut writer = Writer { connection, place, tickets, transactions: PRUNE_EVERY };
    // What the place's last owner left is free from now on.
    writer.transact(|journal| journal.release_all())?;
    let (sender, mut work) = mpsc::unbounded_channel();
    thread::Builder::new()
        .name("runs".to_owned())
        .spawn(move || {
            let mut batch = Vec::with_capacity(BATCH);
            while work.blocking_recv_many(&mut batch, BATCH) > 0 {
                writer.work(&mut batch);
            }
        })
        .map_err(|error| LedgerError::Open { path: "runs".into(), source: Arc::new(error) })?;
    Ok(sender)
}

struct Writer {
    connection: Connection,
    place: Place,
    tickets: Arc<Tickets>,
    /// Since old runs were deleted. The first one deletes too: short lives add up.
    transactions: u32,
}

impl Writer {
    fn work(&mut self, batch: &mut Vec<Work>) {
        let mut answers = Vec::with_capacity(batch.len());
        let committed = self.transact(|journal| {
            for work in batch.drain(..) {
                answers.push(work(Ok(journal)));
                // A full disk makes SQLite roll back by itself: what follows would be committed one by one.
                if journal.is_rolled_back() {
                    return Err(LedgerError::RolledBack);
                }
            }
            Ok(())
        });
        if let Err(error) = &committed {
            tracing::error!(error = error as &dyn std::error::Error, "runs could not be journalled");
            answers.extend(batch.drain(..).map(|work| work(Err(error))));
        }
        for answer in answers {
            answer(committed.as_ref().map(drop));
        }
        self.prune();
    }

    fn prune(&mut self) {
        self.transactions += 1;
        if self.transactions < PRUNE_EVERY {
            return;
        }
        self.transactions = 0;
        if let Err(error) = self.transact(|journal| journal.prune()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "old runs could not be deleted");
        }
    }

    fn transact(
        &mut self,
        work: impl FnOnce(&Journal<'_>) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known = RefCell::new(HashMap::new());
        let (place, tickets) = (&self.place, &*self.tickets);
        work(&Journal { connection: &transaction, place, tickets, known: &known })?;
        Ok(transaction.commit()?)
    }
}
