//! The database file: how it is opened, and what its tables are.

use std::{
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::{LedgerError, Location};

/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// Each entry brings the file from the version of its index to the next. Entries are never changed, only added.
const MIGRATIONS: [&str; 3] = [EXCHANGES, CONVERSATIONS, RUNS];

const EXCHANGES: &str = "
    CREATE TABLE exchanges (
        id              INTEGER PRIMARY KEY,
        owner           INTEGER NOT NULL,
        at_ms           INTEGER NOT NULL,
        conversation    TEXT,
        message         TEXT NOT NULL,
        answer          TEXT NOT NULL,
        outcome         INTEGER NOT NULL,
        code            TEXT,
        model           TEXT NOT NULL,
        prompt_tokens     INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        cached_prompt_tokens INTEGER,
        cache_write_tokens   INTEGER,
        reasoning_tokens     INTEGER,
        cost_picodollars INTEGER NOT NULL,
        cost_provenance  INTEGER NOT NULL,
        duration_us      INTEGER NOT NULL,
        idempotency_key  TEXT,
        fingerprint      BLOB
    ) STRICT;
    CREATE INDEX exchanges_conversation ON exchanges (owner, conversation, id) WHERE conversation IS NOT NULL;
    CREATE UNIQUE INDEX exchanges_key ON exchanges (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
    CREATE INDEX exchanges_open ON exchanges (owner) WHERE outcome = 4;
    CREATE TABLE totals (
        owner           INTEGER NOT NULL,
        model           TEXT NOT NULL,
        requests        INTEGER NOT NULL,
        answered        INTEGER NOT NULL,
        unpriced        INTEGER NOT NULL,
        prompt_tokens     INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        cached_prompt_tokens INTEGER,
        cache_write_tokens   INTEGER,
        reasoning_tokens     INTEGER,
        cost_picodollars INTEGER NOT NULL,
        answered_duration_us INTEGER NOT NULL,
        last_at_ms       INTEGER NOT NULL,
        PRIMARY KEY (owner, model)
    ) STRICT, WITHOUT ROWID;
";

/// One row for each conversation that has exchanges, so that a list of them costs no walk over all exchanges. Triggers keep
/// it: they also hear of what an older program writes that has had the file open since before this version.
const CONVERSATIONS: &str = "
    CREATE TABLE conversations (
        owner           INTEGER NOT NULL,
        conversation    TEXT NOT NULL,
        exchanges       INTEGER NOT NULL,
        last_id         INTEGER NOT NULL,
        PRIMARY KEY (owner, conversation)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX conversations_last ON conversations (owner, last_id);
    INSERT INTO conversations
        SELECT owner, conversation, count(*), max(id) FROM exchanges
        WHERE conversation IS NOT NULL AND outcome <> 4 GROUP BY owner, conversation;
    CREATE TRIGGER conversation_goes_on AFTER INSERT ON exchanges
    WHEN new.conversation IS NOT NULL AND new.outcome <> 4 BEGIN
        INSERT INTO conversations VALUES (new.owner, new.conversation, 1, new.id)
        ON CONFLICT DO UPDATE SET exchanges = exchanges + 1, last_id = max(last_id, excluded.last_id);
    END;
    CREATE TRIGGER conversation_is_answered AFTER UPDATE OF outcome ON exchanges
    WHEN new.conversation IS NOT NULL AND old.outcome = 4 AND new.outcome <> 4 BEGIN
        INSERT INTO conversations VALUES (new.owner, new.conversation, 1, new.id)
        ON CONFLICT DO UPDATE SET exchanges = exchanges + 1, last_id = max(last_id, excluded.last_id);
    END;
    CREATE TRIGGER conversation_is_cut AFTER DELETE ON exchanges
    WHEN old.conversation IS NOT NULL AND old.outcome <> 4 BEGIN
        UPDATE conversations SET exchanges = exchanges - 1
        WHERE owner = old.owner AND conversation = old.conversation;
        DELETE FROM conversations
        WHERE owner = old.owner AND conversation = old.conversation AND exchanges <= 0;
    END;
";

/// Runs of the gateway's pipelines. `holder` is the place among those who have the file open from which a run is held.
const RUNS: &str = "
    CREATE TABLE runs (
        id              INTEGER PRIMARY KEY,
        run_id          TEXT NOT NULL UNIQUE,
        pipeline        TEXT NOT NULL,
        digest          TEXT NOT NULL,
        owner           INTEGER NOT NULL,
        input           TEXT NOT NULL,
        began_at_ms     INTEGER NOT NULL,
        ended_at_ms     INTEGER,
        error           TEXT,
        holder          INTEGER,
        ticket          INTEGER
    ) STRICT;
    CREATE INDEX runs_unfinished ON runs (id) WHERE ended_at_ms IS NULL;
    CREATE INDEX runs_ended ON runs (ended_at_ms) WHERE ended_at_ms IS NOT NULL;
    CREATE TABLE run_calls (
        id              INTEGER PRIMARY KEY,
        run             INTEGER NOT NULL,
        stage           TEXT NOT NULL,
        item            INTEGER NOT NULL,
        tool            TEXT NOT NULL,
        result          TEXT,
        is_failure      INTEGER NOT NULL,
        duration_ms     INTEGER NOT NULL,
        UNIQUE (run, stage, item)
    ) STRICT;
    CREATE TRIGGER run_goes_with_its_calls AFTER DELETE ON runs BEGIN
        DELETE FROM run_calls WHERE run = old.id;
    END;
";

/// Opens the database and brings its schema up to date.
pub(crate) fn open(location: &Location) -> Result<Connection, LedgerError> {
    location.prepare()?;
    let mut connection = match location {
        Location::File(path) => Connection::open(path)?,
        Location::Memory => Connection::open_in_memory()?,
    };
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(32);
    // Two programs that make the file at the same moment: switching to WAL answers "busy" without waiting.
    patiently(|| connection.execute_batch("PRAGMA journal_mode = WAL"))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2048; PRAGMA journal_size_limit = 16777216;",
    )?;
    migrate(&mut connection)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    let known = MIGRATIONS.len() as i64;
    let version = |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    if version(connection)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again, now that no other process can be migrating.
    let found: i64 = version(&transaction)?;
    let pending = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..));
    for step in pending.ok_or(LedgerError::Newer { found, known })? {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

fn patiently(mut work: impl FnMut() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let started = Instant::now();
    loop {
        match work() {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && started.elapsed() < BUSY =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}
