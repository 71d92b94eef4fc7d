//! What comes from a server, as far as carriers know it.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use json_rpc::{Id, Raw};
use serde::{
    Deserializer as _,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use crate::line_reader::TooLong;

/// What comes from a server.
#[derive(Debug)]
pub(crate) enum Incoming {
    Message(Bytes),
    /// A message that was not kept, as it has more than `limit` bytes.
    TooLong {
        limit: usize,
        /// The request that it answers, as far as it can be told.
        answers: Option<Id>,
    },
}

impl From<TooLong> for Incoming {
    fn from(too_long: TooLong) -> Self {
        let answers = answered(&too_long.beginning, &too_long.end);
        tracing::warn!(
            message.limit_bytes = too_long.limit,
            message.answers = answers.is_some(),
            "a message of the server is too long and skipped"
        );
        Self::TooLong { limit: too_long.limit, answers }
    }
}

/// The id of the request that a message with these ends answers. Some servers write it before the result, others behind it.
fn answered(beginning: &[u8], end: &[u8]) -> Option<Id> {
    let mut head = Head::default();
    // Whatever it is, it is not complete.
    let _ = serde_json::Deserializer::from_slice(beginning).deserialize_map(&mut head);
    if !head.is_response {
        return None;
    }
    head.id.or_else(|| last_id(&String::from_utf8_lossy(end)))
}

/// The id in `… , "id": 7}`, perhaps with the version behind it.
fn last_id(end: &str) -> Option<Id> {
    let members = end.trim_end().strip_suffix('}')?.trim_end();
    let members = match members.rsplit_once("\"jsonrpc\"") {
        Some((before, version)) if version.trim_start_matches([':', ' ']) == "\"2.0\"" => {
            before.trim_end().strip_suffix(',')?
        }
        _ => members,
    };
    let (before, id) = members.rsplit_once("\"id\"")?;
    let id = id.trim_start().strip_prefix(':')?.trim();
    before.trim_end().ends_with(',').then_some(())?;
    Id::new(Raw::read(id.to_owned()).ok()?)
}

/// The first members of a message, up to its result.
#[derive(Default)]
struct Head {
    id: Option<Id>,
    is_response: bool,
}

impl<'de> Visitor<'de> for &mut Head {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            match &*name {
                "jsonrpc" => drop(members.next_value::<IgnoredAny>()?),
                "id" => self.id = Some(members.next_value()?),
                name => {
                    self.is_response = matches!(name, "result" | "error");
                    return Err(A::Error::custom("this is all that is wanted"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_ends() {
        for (beginning, end, id) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"x":"#, r#"x"}}"#, Some("7")),
            (r#" { "id" : "7" , "error" : {"x"#, r#"x"}}"#, Some("\"7\"")),
            (r#"{"result":{"x"#, r#"x"},"jsonrpc":"2.0","id":7}"#, Some("7")),
            (r#"{"jsonrpc":"2.0","result":{"x"#, "x\"} , \"id\" : 7 }\r", Some("7")),
            (r#"{"result":{"x"#, r#"x"},"id":7,"jsonrpc": "2.0"}"#, Some("7")),
            // It is within the result.
            (r#"{"result":{"x"#, r#"x","id":7}}"#, None),
            (r#"{"result":{"x"#, r#"{"id":7}"#, None),
            // Questions and notifications.
            (r#"{"jsonrpc":"2.0","id":7,"method":"x"#, r#""}"#, None),
            (r#"{"method":"x","params":{"result":"#, r#"},"id":7}"#, None),
            (r#"{"jsonrpc":"2.0","id":7"#, r#"7,"result":1}"#, None),
            ("          ", "x", None),
        ] {
            let answered = answered(beginning.as_bytes(), end.as_bytes());
            assert_eq!(answered.as_ref().map(|id| id.as_raw().as_str()), id, "{beginning} … {end}");
        }
    }
}
