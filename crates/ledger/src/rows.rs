//! Exchanges and sums as rows of the database.

mod conversations;

use std::time::Duration;

use cost_calculator::{Cost, Provenance, Usage, Usd};
use jiff::Timestamp;
use models::FinishReason;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use crate::{
    Claim, Exchange, HistoryPage, HistoryQuery, IdempotencyKey, LedgerError, ModelTotals, Outcome, Owner,
    Recorded, Totals,
};

const COLUMNS: &str = "id, at_ms, conversation, message, answer, outcome, code, model, prompt_tokens, completion_tokens, \
     cached_prompt_tokens, cache_write_tokens, reasoning_tokens, cost_picodollars, cost_provenance, duration_us";
const ANSWERED: i64 = 0;
const FAILED: i64 = 1;
const CANCELLED: i64 = 2;
const INTERRUPTED: i64 = 3;
const OPEN: i64 = 4;

/// The rows of one owner.
pub(crate) struct Rows<'c> {
    connection: &'c Connection,
    owner: i64,
}

impl<'c> Rows<'c> {
    pub(crate) fn new(connection: &'c Connection, owner: Owner) -> Self {
        let owner = match owner {
            Owner::ServerA => 1,
            Owner::ServerB => 2,
            Owner::Gateway => 3,
        };
        Self { connection, owner }
    }

    pub(crate) fn claim(
        &self,
        exchange: &Exchange,
        key: Option<&IdempotencyKey>,
    ) -> Result<Claim, LedgerError> {
        if let Some(key) = key
            && let Some(claim) = self.claimed(key)?
        {
            return Ok(claim);
        }
        self.insert(exchange, key).map(Claim::New)
    }

    fn claimed(&self, key: &IdempotencyKey) -> Result<Option<Claim>, LedgerError> {
        let sql =
            format!("SELECT {COLUMNS}, fingerprint FROM exchanges WHERE owner = ?1 AND idempotency_key = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let found = statement
            .query_row(params![self.owner, key.key], |row| Ok((recorded(row)?, row.get::<_, Vec<u8>>(16)?)))
            .optional()?;
        Ok(found.map(|(recorded, fingerprint)| match recorded.exchange.outcome {
            _ if fingerprint != key.fingerprint => Claim::Mismatch,
            Outcome::Open => Claim::Open,
            _ => Claim::Answered(Box::new(recorded)),
        }))
    }

    pub(crate) fn insert(
        &self,
        exchange: &Exchange,
        key: Option<&IdempotencyKey>,
    ) -> Result<i64, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO exchanges (owner, at_ms, conversation, message, answer, outcome, code, model, prompt_tokens, \
             completion_tokens, cached_prompt_tokens, cache_write_tokens, reasoning_tokens, cost_picodollars, \
             cost_provenance, duration_us, idempotency_key, fingerprint) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )?;
        let (outcome, code) = outcome_columns(&exchange.outcome);
        let usage = &exchange.usage;
        Ok(statement.insert(params![
            self.owner,
            exchange.at.as_millisecond(),
            exchange.conversation,
            exchange.message,
            exchange.answer,
            outcome,
            code,
            exchange.model,
            integer(usage.prompt_tokens),
            integer(usage.completion_tokens),
            usage.cached_prompt_tokens.map(integer),
            usage.cache_write_tokens.map(integer),
            usage.reasoning_tokens.map(integer),
            exchange.cost.amount.picodollars(),
            provenance_column(exchange.cost.provenance),
            microseconds(exchange.duration),
            key.map(|key| &key.key),
            key.map(|key| key.fingerprint),
        ])?)
    }

    pub(crate) fn settle(&self, id: Option<i64>, exchange: &Exchange) -> Result<(), LedgerError> {
        match id {
            Some(id) => self.finish(id, exchange),
            None => self.insert(exchange, None).map(drop),
        }
    }

    fn finish(&self, id: i64, exchange: &Exchange) -> Result<(), LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE exchanges SET answer = :answer, outcome = :outcome, code = :code, model = :model, \
             prompt_tokens = :prompt, completion_tokens = :completion, cached_prompt_tokens = :cached, \
             cache_write_tokens = :written, reasoning_tokens = :reasoning, cost_picodollars = :cost, \
             cost_provenance = :provenance, duration_us = :duration, \
             idempotency_key = iif(:outcome = 0, idempotency_key, NULL), \
             fingerprint = iif(:outcome = 0, fingerprint, NULL) WHERE id = :id",
        )?;
        let (outcome, code) = outcome_columns(&exchange.outcome);
        let usage = &exchange.usage;
        statement.execute(named_params! {
            ":answer": exchange.answer,
            ":outcome": outcome,
            ":code": code,
            ":model": exchange.model,
            ":prompt": integer(usage.prompt_tokens),
            ":completion": integer(usage.completion_tokens),
            ":cached": usage.cached_prompt_tokens.map(integer),
            ":written": usage.cache_write_tokens.map(integer),
            ":reasoning": usage.reasoning_tokens.map(integer),
            ":cost": exchange.cost.amount.picodollars(),
            ":provenance": provenance_column(exchange.cost.provenance),
            ":duration": microseconds(exchange.duration),
            ":id": id,
        })?;
        Ok(())
    }

    /// Takes back what was announced and never begun.
    pub(crate) fn withdraw(&self, id: i64) -> Result<(), LedgerError> {
        let sql = "DELETE FROM exchanges WHERE id = ?1 AND outcome = ?2";
        self.connection.prepare_cached(sql)?.execute([id, OPEN])?;
        Ok(())
    }

    /// Settles what a crash left open, and gives it back for the sums.
    pub(crate) fn interrupt_open(&self) -> Result<Vec<Exchange>, LedgerError> {
        let sql = format!(
            "UPDATE exchanges SET outcome = {INTERRUPTED}, idempotency_key = NULL, fingerprint = NULL \
             WHERE owner = ?1 AND outcome = {OPEN} RETURNING {COLUMNS}"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map([self.owner], |row| Ok(recorded(row)?.exchange))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Deletes this owner's exchanges but for those among the last `keep` of the file.
    pub(crate) fn prune(&self, keep: u64) -> Result<(), LedgerError> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let sql = "DELETE FROM exchanges \
                   WHERE owner = ?1 AND id <= (SELECT max(id) FROM exchanges) - ?2 AND outcome <> ?3";
        self.connection.prepare_cached(sql)?.execute([self.owner, keep, OPEN])?;
        Ok(())
    }

    pub(crate) fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, LedgerError> {
        let limit = query.limit.min(i64::MAX as usize - 1);
        let filter = match query.conversation {
            Some(_) => "conversation = :conversation",
            None => ":conversation IS NULL",
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM exchanges WHERE owner = :owner AND {filter} AND id < :before AND outcome <> {OPEN} \
             ORDER BY id DESC LIMIT :limit"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(
            named_params! {
                ":owner": self.owner,
                ":conversation": query.conversation,
                ":before": query.before.unwrap_or(i64::MAX),
                ":limit": limit as i64 + 1,
            },
            recorded,
        )?;
        let mut exchanges = rows.collect::<Result<Vec<_>, _>>()?;
        let more = exchanges.len() > limit;
        exchanges.truncate(limit);
        let totals = match &query.conversation {
            Some(conversation) => self.conversation_totals(conversation)?,
            None => self.totals()?,
        };
        Ok(HistoryPage { exchanges, more, totals })
    }

    fn conversation_totals(&self, conversation: &str) -> Result<Totals, LedgerError> {
        // The texts are left out: they are long, and not summed.
        let columns = COLUMNS.replace("message, answer", "'', ''");
        let sql = format!(
            "SELECT {columns} FROM exchanges WHERE owner = ?1 AND conversation = ?2 AND outcome <> {OPEN}"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut totals = Totals::default();
        for row in statement.query_map(params![self.owner, conversation], recorded)? {
            totals.add(&row?.exchange);
        }
        Ok(totals)
    }

    pub(crate) fn totals(&self) -> Result<Totals, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT model, requests, answered, unpriced, prompt_tokens, completion_tokens, cached_prompt_tokens, \
             cache_write_tokens, reasoning_tokens, cost_picodollars, answered_duration_us, last_at_ms \
             FROM totals WHERE owner = ?1",
        )?;
        let rows = statement.query_map([self.owner], |row| {
            let totals = ModelTotals {
                requests: count(row.get(1)?),
                answered: count(row.get(2)?),
                unpriced: count(row.get(3)?),
                usage: usage(row, 4)?,
                cost: Usd::from_picodollars(row.get(9)?),
                answered_duration: Duration::from_micros(count(row.get(10)?)),
                last_at: Timestamp::from_millisecond(row.get(11)?).ok(),
            };
            Ok((row.get(0)?, totals))
        })?;
        Ok(Totals { models: rows.collect::<Result<_, _>>()? })
    }

    /// Adds `totals` to the sums that are kept.
    pub(crate) fn add_totals(&self, totals: &Totals) -> Result<(), LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO totals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
             ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, answered = answered + excluded.answered, \
             unpriced = unpriced + excluded.unpriced, prompt_tokens = prompt_tokens + excluded.prompt_tokens, \
             completion_tokens = completion_tokens + excluded.completion_tokens, \
             cached_prompt_tokens = coalesce(cached_prompt_tokens + excluded.cached_prompt_tokens, cached_prompt_tokens, excluded.cached_prompt_tokens), \
             cache_write_tokens = coalesce(cache_write_tokens + excluded.cache_write_tokens, cache_write_tokens, excluded.cache_write_tokens), \
             reasoning_tokens = coalesce(reasoning_tokens + excluded.reasoning_tokens, reasoning_tokens, excluded.reasoning_tokens), \
             cost_picodollars = cost_picodollars + excluded.cost_picodollars, \
             answered_duration_us = answered_duration_us + excluded.answered_duration_us, \
             last_at_ms = max(last_at_ms, excluded.last_at_ms)",
        )?;
        for (model, sums) in &totals.models {
            statement.execute(params![
                self.owner,
                model,
                integer(sums.requests),
                integer(sums.answered),
                integer(sums.unpriced),
                integer(sums.usage.prompt_tokens),
                integer(sums.usage.completion_tokens),
                sums.usage.cached_prompt_tokens.map(integer),
                sums.usage.cache_write_tokens.map(integer),
                sums.usage.reasoning_tokens.map(integer),
                sums.cost.picodollars(),
                microseconds(sums.answered_duration),
                sums.last_at.map_or(0, Timestamp::as_millisecond),
            ])?;
        }
        Ok(())
    }
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let code: Option<String> = row.get(6)?;
    let outcome = match row.get(5)? {
        ANSWERED => {
            Outcome::Answered { finish_reason: FinishReason::from_name(code.as_deref().unwrap_or_default()) }
        }
        FAILED => Outcome::Failed { code: code.unwrap_or_default() },
        CANCELLED => Outcome::Cancelled,
        INTERRUPTED => Outcome::Interrupted,
        _ => Outcome::Open,
    };
    let exchange = Exchange {
        at: Timestamp::from_millisecond(row.get(1)?).unwrap_or(Timestamp::UNIX_EPOCH),
        conversation: row.get(2)?,
        message: row.get(3)?,
        answer: row.get(4)?,
        outcome,
        model: row.get(7)?,
        usage: usage(row, 8)?,
        cost: Cost { amount: Usd::from_picodollars(row.get(13)?), provenance: provenance(row.get(14)?) },
        duration: Duration::from_micros(count(row.get(15)?)),
    };
    Ok(Recorded { id: row.get(0)?, exchange })
}

fn usage(row: &Row<'_>, first: usize) -> rusqlite::Result<Usage> {
    let optional = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(count));
    Ok(Usage {
        prompt_tokens: count(row.get(first)?),
        completion_tokens: count(row.get(first + 1)?),
        cached_prompt_tokens: optional(first + 2)?,
        cache_write_tokens: optional(first + 3)?,
        reasoning_tokens: optional(first + 4)?,
    })
}

fn outcome_columns(outcome: &Outcome) -> (i64, Option<&str>) {
    match outcome {
        Outcome::Answered { finish_reason } => (ANSWERED, Some(finish_reason.as_str())),
        Outcome::Failed { code } => (FAILED, Some(code)),
        Outcome::Cancelled => (CANCELLED, None),
        Outcome::Interrupted => (INTERRUPTED, None),
        Outcome::Open => (OPEN, None),
    }
}

fn provenance_column(provenance: Provenance) -> i64 {
    match provenance {
        Provenance::Exact => 0,
        Provenance::Estimated => 1,
        Provenance::Unpriced => 2,
    }
}

fn provenance(column: i64) -> Provenance {
    match column {
        0 => Provenance::Exact,
        1 => Provenance::Estimated,
        _ => Provenance::Unpriced,
    }
}

/// SQLite's integers are signed: no count that is real comes near the limit.
fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
