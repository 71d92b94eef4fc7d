//! How a message gets on, in the log of its client. Nothing of the message itself is in it.

use mcp_transport::ClientLog;
use rmcp::{RoleServer, model::LoggingLevel, service::RequestContext};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{Failure, Sent, Stage};

/// Stages that wait for a slow client; there are two for every attempt.
pub(crate) const MAX_STAGES: usize = 32;
/// Name of this log.
const LOGGER: &str = "messenger";

/// Where the client of one request is told things.
pub(crate) struct Journal<'c> {
    pub(crate) log: &'c ClientLog,
    pub(crate) context: &'c RequestContext<RoleServer>,
}

impl Journal<'_> {
    /// Tells of the stages until there are no more.
    pub(crate) async fn follow(&self, mut stages: mpsc::Receiver<Stage>) {
        while let Some(stage) = stages.recv().await {
            let (level, data) = match stage {
                Stage::Sent(attempt) => {
                    (LoggingLevel::Info, json!({ "event": "sent to Server B", "attempt": attempt }))
                }
                Stage::Waiting { attempt, code, wait } => (
                    LoggingLevel::Warning,
                    json!({ "event": "trying again", "failedAttempt": attempt, "code": code,
                        "waitSeconds": wait.as_secs_f64() }),
                ),
            };
            self.log.send(level, LOGGER, data, self.context).await;
        }
    }

    /// Tells how it ended.
    pub(crate) async fn end(&self, outcome: &Result<Sent, Failure>) {
        let (level, data) = match outcome {
            Ok(Sent { response, conversation, warning: None }) => (
                LoggingLevel::Debug,
                json!({ "event": "answered", "model": response.model, "conversationId": conversation,
                    "totalTokens": response.usage.total_tokens }),
            ),
            Ok(Sent { conversation, warning: Some(warning), .. }) => (
                LoggingLevel::Warning,
                json!({ "event": "answered, but not recorded", "conversationId": conversation, "warning": warning }),
            ),
            Err(failure) => (
                LoggingLevel::Error,
                json!({ "event": "failed", "code": failure.code, "error": failure.error, "hint": failure.hint }),
            ),
        };
        self.log.send(level, LOGGER, data, self.context).await;
    }
}
