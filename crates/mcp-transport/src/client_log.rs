//! The log messages that a client asked for.

use std::sync::atomic::{AtomicU8, Ordering};

use rmcp::{
    RoleServer,
    model::{LoggingLevel, LoggingMessageNotificationParam},
    service::RequestContext,
};
use serde_json::Value;

use crate::is_modern;

/// Log messages for the client of one session. Clients of the older era set a level for their session (without one they get
/// `info` and above); since 2026-07-28 a request names the level itself, and one that names none gets nothing.
#[derive(Debug)]
pub struct ClientLog {
    level: AtomicU8,
}

impl ClientLog {
    /// What `logging/setLevel` asks for.
    pub fn set_level(&self, level: LoggingLevel) {
        self.level.store(level as u8, Ordering::Relaxed);
    }

    /// Whether the client wants messages of this level for this request.
    #[must_use]
    pub fn wants(&self, level: LoggingLevel, context: &RequestContext<RoleServer>) -> bool {
        if is_modern(context) {
            context.meta.log_level().is_some_and(|least| level as u8 >= least as u8)
        } else {
            level as u8 >= self.level.load(Ordering::Relaxed)
        }
    }

    /// Sends one message, if the client wants it. That the client is gone is noticed elsewhere.
    pub async fn send(
        &self,
        level: LoggingLevel,
        logger: &str,
        data: Value,
        context: &RequestContext<RoleServer>,
    ) {
        if self.wants(level, context) {
            let message = LoggingMessageNotificationParam::new(level, data).with_logger(logger);
            let sending = context.peer.notify_logging_message(message);
            let _ = context.ct.run_until_cancelled(sending).await;
        }
    }
}

impl Default for ClientLog {
    fn default() -> Self {
        Self { level: AtomicU8::new(LoggingLevel::Info as u8) }
    }
}
