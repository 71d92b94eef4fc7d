//! A ledger's file, read from outside with plain SQL.

use std::path::Path;

use anyhow::ensure;
use rusqlite::Connection;

/// What became of a message, as the file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The model answered.
    Answered,
    /// It did not.
    Failed,
    /// The caller went away.
    Cancelled,
    /// The program was killed in the middle.
    Interrupted,
    /// It is not over.
    Open,
}

/// One exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What was asked.
    pub message: String,
    /// What was answered.
    pub answer: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The finish reason, or the code of the error.
    pub code: Option<String>,
    /// The model.
    pub model: String,
    /// Prompt and completion tokens.
    pub tokens: (i64, i64),
    /// Cost in picodollars.
    pub cost: i64,
    /// `exact`, `estimated` or `unpriced`.
    pub provenance: &'static str,
}

/// All exchanges in the file, oldest first, after a check that the file is sound and its sums are right.
///
/// # Errors
/// When the file is damaged, or cannot be read.
pub fn rows(path: &Path) -> anyhow::Result<Vec<Row>> {
    let file = Connection::open(path)?;
    let sound: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    ensure!(sound == "ok", "the ledger is damaged: {sound}");
    let mut statement = file.prepare(
        "SELECT message, answer, outcome, code, model, prompt_tokens, completion_tokens, cost_picodollars, cost_provenance \
         FROM exchanges ORDER BY id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Row {
            message: row.get(0)?,
            answer: row.get(1)?,
            outcome: match row.get(2)? {
                0 => Outcome::Answered,
                1 => Outcome::Failed,
                2 => Outcome::Cancelled,
                3 => Outcome::Interrupted,
                _ => Outcome::Open,
            },
            code: row.get(3)?,
            model: row.get(4)?,
            tokens: (row.get(5)?, row.get(6)?),
            cost: row.get(7)?,
            provenance: ["exact", "estimated", "unpriced"][usize::from(row.get::<_, u8>(8)?)],
        })
    })?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let sums = "SELECT coalesce(sum(requests), 0), coalesce(sum(cost_picodollars), 0), coalesce(sum(prompt_tokens + completion_tokens), 0) FROM totals";
    let sums: (i64, i64, i64) =
        file.query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let settled = rows.iter().filter(|row| row.outcome != Outcome::Open);
    let expected = settled
        .fold((0, 0, 0), |sums, row| (sums.0 + 1, sums.1 + row.cost, sums.2 + row.tokens.0 + row.tokens.1));
    ensure!(sums == expected, "the sums are {sums:?}, the rows give {expected:?}");
    Ok(rows)
}
