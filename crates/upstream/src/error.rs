//! Why a call has no result, by what can be done about it.

use std::{sync::Arc, time::Duration};

use mcp_transport::ConnectError;
use rmcp::model::ErrorData;

/// Why a call has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The server cannot be reached, so the call was not delivered.
    #[error(transparent)]
    Connect(#[from] Arc<ConnectError>),
    /// The server answered with an error.
    #[error("the server refuses: {} (code {})", .0.message, .0.code.0)]
    Refused(ErrorData),
    /// There was no answer in time; the server was told to stop.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection ended while the call was under way: whether it was carried out is not known. For child processes the last
    /// lines of standard error.
    #[error("the connection ended during the call{}: whether it was carried out is not known", why(.reason))]
    Lost {
        /// What the server did, if it is known: sent a message that is too large, for instance.
        reason: Option<String>,
        /// The last lines that a child process wrote to its standard error.
        stderr: Vec<String>,
    },
    /// The answer is not what MCP says it should be.
    #[error("the answer cannot be understood: {0}")]
    Protocol(String),
    /// The server needs an answer first that it did not get: nobody can give it, or nobody wanted to.
    #[error("the server's question was not answered: {0}")]
    Unanswered(String),
    /// The server needs credentials that it did not get, or other ones.
    #[error("{0}")]
    NeedsCredentials(String),
}

fn why(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
}
