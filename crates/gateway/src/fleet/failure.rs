//! Why there is no connection, in words that are fit for clients and logs: without addresses, arguments and what servers say.

use std::error::Error as _;

use mcp_transport::ConnectError;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Down {
    pub(super) reason: String,
    pub(super) kind: DownKind,
}

/// What can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DownKind {
    /// It may be there later.
    Away,
    /// It was not ready when nobody wanted to wait any longer.
    Late,
    /// It wants other credentials.
    Refused,
    /// Somebody is there, but does not speak what was asked for.
    Strange,
    /// It is not wanted any more.
    Closed,
}

impl Down {
    pub(super) fn of(error: &ConnectError) -> Self {
        let kind = match error {
            ConnectError::NeedsCredentials { .. } => DownKind::Refused,
            ConnectError::NotMcp { .. } | ConnectError::Protocol { .. } => DownKind::Strange,
            _ => DownKind::Away,
        };
        Self { reason: describe(error), kind }
    }

    pub(super) fn closed() -> Self {
        Self { reason: "its connection was closed".to_owned(), kind: DownKind::Closed }
    }
}

/// What went wrong.
pub(super) fn describe(error: &ConnectError) -> String {
    let exit = |status: &Option<std::process::ExitStatus>| {
        status.map(|status| format!(" ({status})")).unwrap_or_default()
    };
    match error {
        ConnectError::Unreachable { .. } => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("it cannot be reached{cause}")
        }
        ConnectError::NeedsCredentials { status, .. } => {
            format!("it needs other credentials (HTTP {status})")
        }
        ConnectError::NotMcp { found, .. } => format!("it is no MCP server of this kind: {found}"),
        ConnectError::TimedOut { after, .. } => format!("it was not ready within {after:?}"),
        ConnectError::CommandNotFound { reason, .. } => format!("it cannot be started: {reason}"),
        ConnectError::Ended { status, .. } => format!("it ended before it was ready{}", exit(status)),
        ConnectError::Lost { reason, status, .. } => {
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("it ended{}{reason}", exit(status))
        }
        ConnectError::Protocol { reason, .. } => format!("it cannot be understood: {reason}"),
        ConnectError::Setup(reason) => (*reason).to_owned(),
    }
}
