//! Runs and their calls as rows of the database.

use std::{cell::RefCell, collections::HashMap};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{KnownCall, KnownRun, NewRun, place::Place, tickets::Tickets};
use crate::LedgerError;

/// How long a run that is over is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long one that was cut off can be resumed.
const RESUMABLE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Runs of either kind that are kept.
const MOST: i64 = 1_000;
/// Stands for "no item", so that the call of a stage without items has a key too.
const NO_ITEM: i64 = -1;
/// Rows of the parts of the run `?1`: `0` is the character after `/`.
const PART_OF: &str = "run_id > ?1 || '/' AND run_id < ?1 || '0'";
/// Rows of runs that are no parts.
const IS_WHOLE: &str = "instr(run_id, '/') = 0";
const COLUMNS: &str =
    "run_id, pipeline, digest, owner, input, began_at_ms, ended_at_ms, error, holder, id, ticket";

/// The journal within a transaction.
pub(crate) struct Journal<'c> {
    pub(super) connection: &'c Connection,
    pub(super) place: &'c Place,
    /// Those of this place.
    pub(super) tickets: &'c Tickets,
    /// Which places were found taken.
    pub(super) known: &'c RefCell<HashMap<i64, bool>>,
}

/// What came of taking up a run again.
pub(crate) enum Taking {
    Taken(Box<KnownRun>),
    Running,
    Over(Box<KnownRun>),
    Unknown,
}

/// A run's row.
struct Found {
    run: KnownRun,
    holder: Option<i64>,
    ticket: Option<i64>,
    id: i64,
}

impl Journal<'_> {
    pub(super) fn begin(&self, run: &NewRun, ticket: i64) -> Result<(), LedgerError> {
        let NewRun { id, pipeline, digest, owner, input } = run;
        self.connection
            .prepare_cached(
                "INSERT INTO runs (run_id, pipeline, digest, owner, input, began_at_ms, holder, ticket) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                id,
                pipeline,
                digest,
                owner.cast_signed(),
                input,
                now_ms(),
                self.place.number,
                ticket
            ])?;
        Ok(())
    }

    pub(super) fn take(&self, run_id: &str, owner: u64, ticket: i64) -> Result<Taking, LedgerError> {
        let Some(found) = self.row(run_id)?.filter(|found| found.run.run.owner == owner) else {
            return Ok(Taking::Unknown);
        };
        if !found.run.is_over && self.is_held(&found) {
            return Ok(Taking::Running);
        }
        let run = self.with_calls(found, "")?;
        if run.is_over {
            return Ok(Taking::Over(Box::new(run)));
        }
        self.connection
            .prepare_cached("UPDATE runs SET holder = ?2, ticket = ?3 WHERE run_id = ?1")?
            .execute(params![run_id, self.place.number, ticket])?;
        Ok(Taking::Taken(Box::new(run)))
    }

    pub(super) fn release(&self, run_id: &str, ticket: i64) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached(
                "UPDATE runs SET holder = NULL WHERE run_id = ?1 AND holder = ?2 AND ticket = ?3",
            )?
            .execute(params![run_id, self.place.number, ticket])?;
        Ok(())
    }

    /// Lets go of all that is held from this place.
    pub(super) fn release_all(&self) -> Result<(), LedgerError> {
        self.connection.execute(
            "UPDATE runs SET holder = NULL WHERE holder = ?1 AND ended_at_ms IS NULL",
            [self.place.number],
        )?;
        Ok(())
    }

    pub(super) fn call(&self, run_id: &str, call: &KnownCall) -> Result<(), LedgerError> {
        let KnownCall { stage, item, tool, result, is_failure, duration_ms } = call;
        let written = self
            .connection
            .prepare_cached(
                "INSERT INTO run_calls (run, stage, item, tool, result, is_failure, duration_ms) \
                 SELECT id, ?2, ?3, ?4, ?5, ?6, ?7 FROM runs WHERE run_id = ?1 AND ended_at_ms IS NULL \
                 ON CONFLICT (run, stage, item) DO UPDATE SET tool = excluded.tool, result = excluded.result, \
                 is_failure = excluded.is_failure, duration_ms = excluded.duration_ms",
            )?
            .execute(params![
                run_id,
                stage,
                item.map_or(NO_ITEM, i64::from),
                tool,
                result,
                is_failure,
                duration_ms.cast_signed()
            ])?;
        self.written(written, run_id)
    }

    pub(super) fn ended(&self, run_id: &str, error: Option<&str>) -> Result<(), LedgerError> {
        let written = self
            .connection
            .prepare_cached(
                "UPDATE runs SET ended_at_ms = ?2, error = ?3, holder = NULL WHERE run_id = ?1 AND ended_at_ms IS NULL",
            )?
            .execute(params![run_id, now_ms(), error])?;
        self.written(written, run_id)?;
        if run_id.contains('/') {
            return Ok(()); // the whole needs what it came to
        }
        // Nobody asks for what it did any more.
        self.connection
            .prepare_cached("DELETE FROM run_calls WHERE run = (SELECT id FROM runs WHERE run_id = ?1)")?
            .execute([run_id])?;
        self.connection.prepare_cached("UPDATE runs SET input = '' WHERE run_id = ?1")?.execute([run_id])?;
        self.delete_parts(run_id)
    }

    /// A call that was surely not made: as if it had not begun.
    pub(super) fn take_back(&self, run_id: &str, stage: &str, item: Option<u32>) -> Result<(), LedgerError> {
        let written = self
            .connection
            .prepare_cached(
                "DELETE FROM run_calls WHERE stage = ?2 AND item = ?3 AND result IS NULL \
                 AND run = (SELECT id FROM runs WHERE run_id = ?1 AND ended_at_ms IS NULL)",
            )?
            .execute(params![run_id, stage, item.map_or(NO_ITEM, i64::from)])?;
        self.written(written, run_id)
    }

    /// This run and its parts, those that are not over, with their calls that have no result.
    pub(super) fn open(&self, run_id: &str) -> Result<Vec<KnownRun>, LedgerError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM runs WHERE (run_id = ?1 OR {PART_OF}) AND ended_at_ms IS NULL ORDER BY id"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let runs: Vec<_> = statement.query_map([run_id], found)?.collect::<Result<_, _>>()?;
        runs.into_iter().map(|found| self.with_calls(found, "AND result IS NULL")).collect()
    }

    fn delete_parts(&self, run_id: &str) -> Result<(), LedgerError> {
        let sql = format!("DELETE FROM runs WHERE {PART_OF}");
        self.connection.prepare_cached(&sql)?.execute([run_id])?;
        Ok(())
    }

    fn written(&self, rows: usize, run_id: &str) -> Result<(), LedgerError> {
        if rows > 0 { Ok(()) } else { Err(LedgerError::NoRun { id: run_id.to_owned() }) }
    }

    pub(super) fn find(&self, run_id: &str) -> Result<Option<KnownRun>, LedgerError> {
        self.row(run_id)?.map(|found| self.with_calls(found, "")).transpose()
    }

    pub(super) fn unfinished(&self, owner: Option<u64>, most: usize) -> Result<Vec<KnownRun>, LedgerError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM runs WHERE ended_at_ms IS NULL AND (?1 IS NULL OR owner = ?1) ORDER BY id DESC"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([owner.map(u64::cast_signed)])?;
        let mut runs = Vec::new();
        while runs.len() < most
            && let Some(row) = rows.next()?
        {
            let found = found(row)?;
            if found.run.run.whole_id().is_none() && !self.is_held(&found) {
                runs.push(found.run);
            }
        }
        Ok(runs)
    }

    /// Deletes what is too old, and what is too much. Parts go with their whole: as long as that can be resumed, it needs them.
    pub(super) fn prune(&self) -> Result<(), LedgerError> {
        let before = |age: SignedDuration| now_ms().saturating_sub(age.as_millis() as i64);
        let sql = format!(
            "DELETE FROM runs WHERE {IS_WHOLE} AND (ended_at_ms < ?1 OR id IN (SELECT id FROM runs \
             WHERE ended_at_ms IS NOT NULL AND {IS_WHOLE} ORDER BY ended_at_ms DESC, id DESC LIMIT -1 OFFSET ?2))"
        );
        self.connection.execute(&sql, params![before(KEPT), MOST])?;
        let resumable_since = before(RESUMABLE);
        let sql =
            format!("SELECT {COLUMNS} FROM runs WHERE ended_at_ms IS NULL AND {IS_WHOLE} ORDER BY id DESC");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut cut_off = 0;
        let mut gone = Vec::new();
        while let Some(row) = rows.next()? {
            let found = found(row)?;
            if !self.is_held(&found) {
                cut_off += 1;
                if cut_off > MOST || found.run.began_at_ms < resumable_since {
                    gone.push(found.run.run.id);
                }
            }
        }
        for run_id in gone {
            self.connection.prepare_cached("DELETE FROM runs WHERE run_id = ?1")?.execute([&run_id])?;
            self.delete_parts(&run_id)?;
        }
        Ok(())
    }

    pub(super) fn is_rolled_back(&self) -> bool {
        self.connection.is_autocommit()
    }

    fn is_held(&self, found: &Found) -> bool {
        match found.holder {
            None => false,
            // A row may still have our place because letting go of it could not be written.
            Some(holder) if holder == self.place.number => {
                found.ticket.is_some_and(|ticket| self.tickets.is_live(ticket))
            }
            Some(holder) => self.place.is_taken(holder, &mut self.known.borrow_mut()),
        }
    }

    fn row(&self, run_id: &str) -> Result<Option<Found>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE run_id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([run_id], found).optional()?)
    }

    fn with_calls(&self, found: Found, which: &'static str) -> Result<KnownRun, LedgerError> {
        let Found { mut run, id, .. } = found;
        let sql = format!(
            "SELECT stage, item, tool, result, is_failure, duration_ms FROM run_calls WHERE run = ?1 {which} ORDER BY id"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        run.calls = statement.query_map([id], call)?.collect::<Result<_, _>>()?;
        Ok(run)
    }
}

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let run = NewRun {
        id: row.get(0)?,
        pipeline: row.get(1)?,
        digest: row.get(2)?,
        owner: row.get::<_, i64>(3)?.cast_unsigned(),
        input: row.get(4)?,
    };
    let ended_at_ms: Option<i64> = row.get(6)?;
    let run = KnownRun {
        run,
        began_at_ms: row.get(5)?,
        is_over: ended_at_ms.is_some(),
        error: row.get(7)?,
        calls: Vec::new(),
    };
    Ok(Found { run, holder: row.get(8)?, id: row.get(9)?, ticket: row.get(10)? })
}

fn call(row: &Row<'_>) -> rusqlite::Result<KnownCall> {
    Ok(KnownCall {
        stage: row.get(0)?,
        item: u32::try_from(row.get::<_, i64>(1)?).ok(),
        tool: row.get(2)?,
        result: row.get(3)?,
        is_failure: row.get(4)?,
        duration_ms: row.get::<_, i64>(5)?.cast_unsigned(),
    })
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
