//! Conversations as rows of the database.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, named_params, params};

use super::{OPEN, Rows, count};
use crate::{BEGINNING_CHARS, Conversation, ConversationsPage, ConversationsQuery, LedgerError};

/// Ids that begin with `:prefix`: texts are compared byte by byte, and no character is greater than the last one.
const WITH_PREFIX: &str = "c.conversation >= :prefix AND c.conversation <= :prefix || char(1114111)";

impl Rows<'_> {
    pub(crate) fn conversations(&self, query: &ConversationsQuery) -> Result<ConversationsPage, LedgerError> {
        let limit = query.limit.min(i64::MAX as usize - 1);
        // A prefix is looked up in the primary key, whose order ends the search; by time, all conversations would be looked at.
        let order = if query.id_prefix.is_empty() { "c.last_id DESC" } else { "c.conversation DESC" };
        let sql = format!(
            "{} WHERE c.owner = :owner AND c.last_id < :before AND {WITH_PREFIX} \
             ORDER BY {order} LIMIT :limit",
            select()
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(
            named_params! {
                ":owner": self.owner,
                ":before": query.before.unwrap_or(i64::MAX),
                ":prefix": query.id_prefix,
                ":limit": limit as i64 + 1,
            },
            conversation,
        )?;
        let mut conversations = rows.collect::<Result<Vec<_>, _>>()?;
        let more = conversations.len() > limit;
        conversations.truncate(limit);
        Ok(ConversationsPage { conversations, more })
    }

    pub(crate) fn count_conversations(
        &self,
        id_prefix: &str,
        most: usize,
    ) -> Result<Option<usize>, LedgerError> {
        let most = most.min(i64::MAX as usize - 1);
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM conversations c WHERE c.owner = :owner AND {WITH_PREFIX} LIMIT :limit)"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let found = statement.query_row(
            named_params! { ":owner": self.owner, ":prefix": id_prefix, ":limit": most as i64 + 1 },
            |row| row.get(0),
        )?;
        let found = usize::try_from(count(found)).unwrap_or(usize::MAX);
        Ok((found <= most).then_some(found))
    }

    pub(crate) fn conversation(&self, id: &str) -> Result<Option<Conversation>, LedgerError> {
        let sql = format!("{} WHERE c.owner = ?1 AND c.conversation = ?2", select());
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params![self.owner, id], conversation).optional()?)
    }
}

fn select() -> String {
    format!(
        "SELECT c.conversation, c.exchanges, c.last_id, \
         (SELECT at_ms FROM exchanges WHERE id = c.last_id), \
         (SELECT substr(message, 1, {BEGINNING_CHARS}) FROM exchanges \
          WHERE owner = c.owner AND conversation = c.conversation AND outcome <> {OPEN} ORDER BY id LIMIT 1) \
         FROM conversations c"
    )
}

fn conversation(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    let at: Option<i64> = row.get(3)?;
    Ok(Conversation {
        id: row.get(0)?,
        exchanges: count(row.get(1)?),
        last_id: row.get(2)?,
        last_at: at.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::UNIX_EPOCH),
        beginning: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
    })
}
