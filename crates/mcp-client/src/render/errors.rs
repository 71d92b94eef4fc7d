//! What went wrong, in words, with what to do about it, and for scripts.

use std::error::Error;

use mcp_transport::ConnectError;
use rmcp::model::ErrorData;
use serde::Serialize;
use serde_json::Value;
use upstream::CallError;

use crate::Exit;

/// Most characters of one failure's words.
const MAX_WORDS: usize = 4_000;

const KEY_HINT: &str = "a key goes into the variable MCP_CLIENT_KEY, or into the headers of a configuration file; `mcp-client login` is for servers with OAuth";

/// What went wrong with a server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    /// For scripts: `unreachable`, `needs_credentials`, `not_mcp`, `refused`, `timed_out`, `lost`, `protocol`, `usage`.
    pub(crate) kind: &'static str,
    /// For people.
    pub(crate) message: String,
    /// The code of the server's error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<i32>,
    /// More of the server's error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Value>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// How the program ends because of it.
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn new(exit: Exit, kind: &'static str, message: String) -> Self {
        let message = match message.char_indices().nth(MAX_WORDS) {
            Some((end, _)) => format!("{}…", &message[..end]),
            None => message,
        };
        Self { kind, message, code: None, data: None, hint: None, exit }
    }

    fn hinting(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The command line asks for something that there is not.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message.into())
    }

    pub(crate) fn with_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hinting(hint),
            None => self,
        }
    }

    pub(crate) fn of_connect(error: &ConnectError) -> Self {
        let message = with_causes(error);
        match error {
            ConnectError::Unreachable { .. } => Self::new(Exit::Unreachable, "unreachable", message)
                .hinting("is it running? check the host, the port and the transport (--transport websocket|sse|http)"),
            ConnectError::NeedsCredentials { .. } => Self::new(Exit::NeedsCredentials, "needs_credentials", message)
                .hinting(KEY_HINT),
            ConnectError::NotMcp { .. } => Self::new(Exit::Protocol, "not_mcp", message)
                .hinting("a whole URL says the path, as in http://HOST:PORT/mcp; --transport sse or websocket says how"),
            ConnectError::TimedOut { .. } => Self::new(Exit::Unreachable, "timed_out", message)
                .hinting("if it is only slow, give it more time with --connect-timeout"),
            ConnectError::CommandNotFound { .. } | ConnectError::Ended { .. } => {
                Self::new(Exit::Unreachable, "unreachable", message)
            }
            ConnectError::Setup(_) => Self::new(Exit::Usage, "usage", message),
            _ => Self::new(Exit::Protocol, "protocol", message),
        }
    }

    pub(crate) fn of_call(error: &CallError) -> Self {
        match error {
            CallError::Connect(error) => Self::of_connect(error),
            CallError::Refused(data) => Self::refused(data),
            CallError::TimedOut(_) => Self::new(Exit::Unreachable, "timed_out", error.to_string()).hinting(
                "give it more time with --timeout (altogether) or --idle-timeout (without progress)",
            ),
            CallError::Lost { stderr, .. } => {
                let mut message = error.to_string();
                if !stderr.is_empty() {
                    message += &format!("; it said:\n{}", stderr.join("\n"));
                }
                Self::new(Exit::Unreachable, "lost", message)
            }
            CallError::NeedsCredentials(_) => {
                Self::new(Exit::NeedsCredentials, "needs_credentials", error.to_string()).hinting(KEY_HINT)
            }
            _ => Self::new(Exit::Protocol, "protocol", with_causes(error)),
        }
    }

    fn refused(data: &ErrorData) -> Self {
        let message = format!("the server refuses: {} (code {})", data.message, data.code.0);
        let mut failure = Self::new(Exit::Protocol, "refused", message);
        failure.code = Some(data.code.0);
        failure.data = data.data.clone();
        failure
    }
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words += &format!(": {more}");
        }
        cause = error.source();
    }
    words
}
