//! What servers tell without being asked, in words.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rmcp::model::LoggingMessageNotificationParam;
use upstream::{Notice, Status};

use crate::render::{
    Failure,
    plain::{visible, visible_line},
};

/// Most characters of a line of a server's log that are shown.
const MAX_LOG: usize = 2_000;
/// The same change is not told again within this time of the last one.
const ONCE_IN: Duration = Duration::from_secs(2);

/// Puts notices into words, and keeps silent about what goes without saying.
#[derive(Debug, Default)]
pub(super) struct Words {
    connections: Mutex<HashMap<String, Connection>>,
    /// What was said of lists lately.
    changes: Mutex<HashMap<String, Instant>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Connection {
    /// It was never there: whoever connects hears of it.
    #[default]
    New,
    Up,
    Down,
}

impl Words {
    /// What there is to say.
    pub(super) fn say(&self, server: &str, notice: &Notice) -> Option<String> {
        let name = visible_line(server);
        Some(match notice {
            Notice::ToolsChanged => self.changed(format!("{name}: its tools have changed"))?,
            Notice::PromptsChanged => self.changed(format!("{name}: its prompts have changed"))?,
            Notice::ResourcesChanged => self.changed(format!("{name}: its resources have changed"))?,
            Notice::ResourceUpdated(uri) => format!("{name}: {} has changed", visible_line(uri)),
            Notice::Log(line) => format!("{name}: {}", log(line)),
            Notice::Status(status) => format!("{name}: {}", self.status(server, status)?),
        })
    }

    /// Servers that change one tool after the other say so each time.
    fn changed(&self, words: String) -> Option<String> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        changes.retain(|_, said| now.duration_since(*said) < ONCE_IN);
        changes.insert(words.clone(), now).is_none().then_some(words)
    }

    fn status(&self, server: &str, status: &Status) -> Option<String> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let before = connections.get(server).copied().unwrap_or_default();
        let (now, words) = match (before, status) {
            (Connection::Down, Status::Connected(_)) => (Connection::Up, Some("connected again".to_owned())),
            (_, Status::Connected(_)) => (Connection::Up, None),
            (Connection::Up, Status::Disconnected(error)) => (
                Connection::Down,
                Some(format!("disconnected: {}", visible(&Failure::of_connect(error).message))),
            ),
            (_, Status::Closed) => (Connection::New, None),
            (before, _) => (before, None),
        };
        connections.insert(server.to_owned(), now);
        words
    }
}

fn log(line: &LoggingMessageNotificationParam) -> String {
    let level = format!("{:?}", line.level).to_lowercase();
    let logger =
        line.logger.as_deref().map(|logger| format!(" {}", visible_line(logger))).unwrap_or_default();
    let text = line.data.as_str().map_or_else(|| line.data.to_string(), str::to_owned);
    let mut start: String = text.chars().take(MAX_LOG).collect();
    if text.chars().nth(MAX_LOG).is_some() {
        start.push('…');
    }
    format!("[{level}{logger}] {}", visible(&start))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mcp_transport::ConnectError;
    use rmcp::model::LoggingLevel;
    use serde_json::json;

    use super::*;

    fn down() -> Notice {
        Notice::Status(Status::Disconnected(Arc::new(ConnectError::Setup("it went away"))))
    }

    #[test]
    fn only_what_was_there_can_go_away() {
        let words = Words::default();
        assert_eq!(words.say("a", &down()), None);
        assert_eq!(words.status("a", &Status::Idle), None);
    }

    #[test]
    fn a_line_of_the_log_has_its_level_and_no_control_characters() {
        let mut line = LoggingMessageNotificationParam::new(LoggingLevel::Warning, json!("disk\u{1b}[2J"));
        line.logger = Some("store".to_owned());
        let said = Words::default().say("files", &Notice::Log(line)).unwrap();
        assert_eq!(said, "files: [warning store] disk\\x1b[2J");
    }

    #[test]
    fn a_row_of_changes_is_told_once() {
        let words = Words::default();
        assert!(words.say("a", &Notice::ToolsChanged).is_some());
        assert!(words.say("a", &Notice::ToolsChanged).is_none());
        assert!(words.say("b", &Notice::ToolsChanged).is_some());
        assert!(words.say("a", &Notice::PromptsChanged).is_some());
    }
}
