//! Runs of pipelines, written down so that a crash loses none of what was done.

mod journal;
mod place;
mod tickets;
mod writer;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use self::{tickets::Tickets, writer::Work};
use crate::{LedgerError, Location};

/// A handle on the journal of runs; clones share the same writer. Each call hands over what it writes before it is awaited, and
/// returns when that is on disk: one that is dropped meanwhile is written all the same.
#[derive(Clone)]
pub struct Runs {
    /// Bounded by its senders: each stage of a run waits for one thing at a time, and runs are bounded by the gateway.
    work: mpsc::UnboundedSender<Work>,
    tickets: Arc<Tickets>,
}

/// A run as it begins. The journal keeps texts as they are: whoever hands them over bounds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Unique.
    pub id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// Which definition of it (`Pipeline::digest`).
    pub digest: String,
    /// Whose it is (`Caller::fingerprint`).
    pub owner: u64,
    /// JSON; empty when the run is over.
    pub input: String,
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRun {
    /// As it began.
    pub run: NewRun,
    /// When, in milliseconds since 1970.
    pub began_at_ms: i64,
    /// Whether it has come to its end, well or not.
    pub is_over: bool,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// Its calls, in the order in which they began.
    pub calls: Vec<KnownCall>,
}

/// What is known of one call of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCall {
    /// The stage's name.
    pub stage: String,
    /// The item of `for_each`, from 0.
    pub item: Option<u32>,
    /// The tool.
    pub tool: String,
    /// What it came to, JSON; `None` when that is not known: it had begun when everything stopped.
    pub result: Option<String>,
    /// Whether that is a failure's text rather than a result.
    pub is_failure: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// Keeps a run from being resumed by anybody else. The end of the process, however it comes, lets go of it too.
#[must_use = "a run that nobody holds can be resumed by another"]
pub struct Hold {
    run_id: String,
    ticket: i64,
    tickets: Arc<Tickets>,
    work: mpsc::UnboundedSender<Work>,
}

/// What came of taking up a run again.
#[derive(Debug)]
pub enum Resumption {
    /// It was cut off, and is the caller's to go on with.
    Taken(Box<KnownRun>, Hold),
    /// It is still running, here or in another process.
    Running,
    /// It has come to its end.
    Over(Box<KnownRun>),
    /// No run has this id, or another owner has.
    Unknown,
}

impl NewRun {
    /// The id of a run that is made for an item of a stage of this run: what resumes the one resumes the other.
    #[must_use]
    pub fn part_id(run_id: &str, stage: &str, item: Option<usize>) -> String {
        match item {
            Some(item) => format!("{run_id}/{stage}/{item}"),
            None => format!("{run_id}/{stage}"),
        }
    }

    /// The run that it was made for, if any.
    #[must_use]
    pub fn whole_id(&self) -> Option<&str> {
        self.id.split_once('/').map(|(whole, _)| whole)
    }
}

impl Runs {
    /// Opens the journal at `location`, and makes it where there is none. Several may open the same file.
    ///
    /// # Errors
    /// When the file cannot be made or read, or belongs to a newer version.
    pub fn open(location: &Location) -> Result<Self, LedgerError> {
        let tickets = Arc::default();
        Ok(Self { work: writer::start(location, Arc::clone(&tickets))?, tickets })
    }

    /// A run begins, and is the caller's as long as it holds it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn begin(&self, run: NewRun) -> Result<Hold, LedgerError> {
        let hold = self.hold(&run.id);
        let ticket = hold.ticket;
        self.ask(move |journal| journal.begin(&run, ticket)).await?;
        Ok(hold)
    }

    /// Takes up a run of this owner that was cut off.
    ///
    /// # Errors
    /// When that cannot be written.
    pub async fn resume(&self, run_id: &str, owner: u64) -> Result<Resumption, LedgerError> {
        let hold = self.hold(run_id);
        let (id, ticket) = (hold.run_id.clone(), hold.ticket);
        let found = self.ask(move |journal| journal.take(&id, owner, ticket)).await?;
        Ok(match found {
            writer::Taking::Taken(run) => Resumption::Taken(run, hold),
            writer::Taking::Running => Resumption::Running,
            writer::Taking::Over(run) => Resumption::Over(run),
            writer::Taking::Unknown => Resumption::Unknown,
        })
    }

    /// A call is about to be made: written before anything is sent. One that was known before is now as unknown as a new one.
    ///
    /// # Errors
    /// When it cannot be written: the call must not be made then.
    pub fn call_begins(
        &self,
        run_id: &str,
        stage: &str,
        item: Option<u32>,
        tool: &str,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send + use<> {
        let call = KnownCall {
            stage: stage.to_owned(),
            item,
            tool: tool.to_owned(),
            result: None,
            is_failure: false,
            duration_ms: 0,
        };
        self.call_ended(run_id, call)
    }

    /// A call has come to this.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn call_ended(
        &self,
        run_id: &str,
        call: KnownCall,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send + use<> {
        let run_id = run_id.to_owned();
        self.ask(move |journal| journal.call(&run_id, &call))
    }

    /// A call that had begun was surely not made: it is as if it had not begun.
    ///
    /// # Errors
    /// When it cannot be written, or no such call is open.
    pub fn call_taken_back(
        &self,
        run_id: &str,
        stage: &str,
        item: Option<u32>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send + use<> {
        let (run_id, stage) = (run_id.to_owned(), stage.to_owned());
        self.ask(move |journal| journal.take_back(&run_id, &stage, item))
    }

    /// A run is over; `error` says why it failed. Its input, its calls and its parts are deleted, unless it is a part itself: then they
    /// go with the whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ended(
        &self,
        run_id: &str,
        error: Option<String>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send + use<> {
        let run_id = run_id.to_owned();
        self.ask(move |journal| journal.ended(&run_id, error.as_deref()))
    }

    /// What is known of a run.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn find(&self, run_id: &str) -> Result<Option<KnownRun>, LedgerError> {
        let run_id = run_id.to_owned();
        self.ask(move |journal| journal.find(&run_id)).await
    }

    /// A run and all its parts, those of them that are not over, each with only those calls of which nobody knows what they came to.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn open_calls(&self, run_id: &str) -> Result<Vec<KnownRun>, LedgerError> {
        let run_id = run_id.to_owned();
        self.ask(move |journal| journal.open(&run_id)).await
    }

    /// Runs that were cut off and that nobody has taken up, the latest first, without their calls: of this owner, or of all.
    /// `most` at most. A part of another run is left out: it goes on with that.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn unfinished(&self, owner: Option<u64>, most: usize) -> Result<Vec<KnownRun>, LedgerError> {
        self.ask(move |journal| journal.unfinished(owner, most)).await
    }

    fn hold(&self, run_id: &str) -> Hold {
        let tickets = Arc::clone(&self.tickets);
        Hold { run_id: run_id.to_owned(), ticket: tickets.issue(), tickets, work: self.work.clone() }
    }

    fn ask<T, A>(&self, ask: A) -> impl Future<Output = Result<T, LedgerError>> + Send + use<T, A>
    where
        T: Send + 'static,
        A: FnOnce(&writer::Journal<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        // When the writer has stopped, the answer says so.
        let _ = self.work.send(writer::work(ask, reply));
        async { answer.await.map_err(|_| LedgerError::Stopped)? }
    }
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runs")
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hold").field(&self.run_id).finish()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let (run_id, ticket) = (std::mem::take(&mut self.run_id), self.ticket);
        let (nobody_waits, _) = oneshot::channel();
        let release = writer::work(move |journal| journal.release(&run_id, ticket), nobody_waits);
        let tickets = Arc::clone(&self.tickets);
        let release: Work = Box::new(move |journal| {
            // Not before its turn: what the holder has handed over is written first. And even if nothing can be written now: the
            // run would be held by nobody until this process ends.
            tickets.give_back(ticket);
            release(journal)
        });
        // A writer that has stopped holds nothing.
        let _ = self.work.send(release);
    }
}
