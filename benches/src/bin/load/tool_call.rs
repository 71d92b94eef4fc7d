//! What is said in MCP, whatever carries it: the handshake, a call, and the check of its answer.

use std::borrow::Cow;
use std::io::Result;

use clap::ValueEnum;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::connection::invalid;

/// The end of the handshake.
pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The two kinds of MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Era {
    /// 2025-11-25: a session that begins with a handshake.
    Legacy,
    /// 2026-07-28: every request speaks for itself.
    Modern,
}

impl Era {
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }

    /// The first request of a caller, with id 0: the handshake of the older era, the optional question of the newer one.
    pub(crate) fn greeting(self) -> String {
        let (method, params) = match self {
            Self::Legacy => {
                let params =
                    json!({"protocolVersion": self.version(), "capabilities": {}, "clientInfo": client()});
                ("initialize", params)
            }
            Self::Modern => ("server/discover", json!({"_meta": self.meta()})),
        };
        json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": params}).to_string()
    }

    fn meta(self) -> Value {
        json!({"io.modelcontextprotocol/protocolVersion": self.version(),
            "io.modelcontextprotocol/clientCapabilities": {}, "io.modelcontextprotocol/clientInfo": client()})
    }
}

fn client() -> Value {
    json!({"name": "load", "version": env!("CARGO_PKG_VERSION")})
}

/// The call that a load makes again and again.
pub(crate) struct ToolCall {
    pub(crate) era: Era,
    pub(crate) tool: String,
    /// A call from its method to its end; a new id stands before it each time.
    after_id: String,
    /// What the text of every answer must be.
    expected: Option<String>,
}

/// An answer of the server.
pub(crate) struct Answer {
    /// The id of the request.
    pub(crate) id: u64,
    /// An error, or a result that is not the expected one, is a failure.
    pub(crate) result: Result<()>,
}

impl ToolCall {
    pub(crate) fn new(
        era: Era,
        tool: String,
        arguments: &Map<String, Value>,
        expected: Option<String>,
    ) -> Self {
        let mut params = json!({"name": tool, "arguments": arguments});
        if era == Era::Modern {
            params["_meta"] = era.meta();
        }
        let after_id = format!(r#","method":"tools/call","params":{params}}}"#);
        Self { era, tool, after_id, expected }
    }

    pub(crate) fn request(&self, id: u64) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{id}{}"#, self.after_id)
    }

    /// The answer in `message`; `None` when it is a notification or a question of the server's.
    pub(crate) fn answer(&self, message: &[u8]) -> Result<Option<Answer>> {
        let answer = read(message)?;
        Ok(answer.map(|(id, result)| Answer { id, result: self.check(result, message) }))
    }

    fn check(&self, result: Option<CallResult<'_>>, message: &[u8]) -> Result<()> {
        let succeeded = result.is_some_and(|result| {
            let text = result.content.first().map(|content| &*content.text);
            !result.is_error && self.expected.as_deref().is_none_or(|expected| text == Some(expected))
        });
        if succeeded { Ok(()) } else { Err(invalid(String::from_utf8_lossy(message).trim())) }
    }
}

/// Whether `message` is the answer to the greeting; one that refuses it is an error.
pub(crate) fn is_greeted(message: &[u8]) -> Result<bool> {
    match read(message)? {
        Some((0, Some(_))) => Ok(true),
        Some(_) => Err(invalid(String::from_utf8_lossy(message).trim())),
        None => Ok(false),
    }
}

fn read(message: &[u8]) -> Result<Option<(u64, Option<CallResult<'_>>)>> {
    let message: Message<'_> = serde_json::from_slice(message)?;
    if message.method.is_some() {
        return Ok(None);
    }
    let id =
        message.id.as_ref().and_then(Value::as_u64).ok_or_else(|| invalid("an answer without our id"))?;
    Ok(Some((id, message.result)))
}

/// As much of a JSON-RPC message as a driver needs.
#[derive(Deserialize)]
struct Message<'a> {
    id: Option<Value>,
    method: Option<IgnoredAny>,
    #[serde(borrow)]
    result: Option<CallResult<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'a> {
    #[serde(default)]
    is_error: bool,
    #[serde(borrow, default)]
    content: Vec<Content<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> ToolCall {
        ToolCall::new(Era::Modern, "echo".to_owned(), &Map::new(), Some("Echo: hello".to_owned()))
    }

    #[test]
    fn only_the_expected_text_is_a_success() {
        let text = |text: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
            )
        };
        assert!(call().answer(text("Echo: hello").as_bytes()).unwrap().unwrap().result.is_ok());
        for failure in [
            &text("Echo: other"),
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"Echo: hello"}],"isError":true}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no"}}"#,
        ] {
            let answer = call().answer(failure.as_bytes()).unwrap().unwrap();
            assert_eq!((answer.id, answer.result.is_err()), (7, true), "{failure}");
        }
    }

    #[test]
    fn what_the_server_says_by_itself_is_no_answer() {
        let message = br#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
        assert!(call().answer(message).unwrap().is_none());
        assert!(!is_greeted(message).unwrap());
    }

    #[test]
    fn a_request_of_the_newer_era_says_its_version() {
        let request: Value = serde_json::from_str(&call().request(3)).unwrap();
        assert_eq!(request["id"], 3);
        assert_eq!(request["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    }
}
