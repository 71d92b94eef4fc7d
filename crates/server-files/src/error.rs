//! What is wrong with a file, and where. Never a value of it, which may be a secret.

use std::fmt;

/// Why a configuration file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not there, too large, or the system refuses.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        reason: String,
    },
    /// It is not JSON.
    #[error("{file}:{line}:{column}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Something in it makes no sense.
    #[error("{file}: {place}{reason}")]
    Value {
        /// The file.
        file: String,
        /// Where in it, as in `mcpServers.time.command: `.
        place: String,
        /// What is wrong there, and what is allowed.
        reason: String,
    },
    /// It has no server of this name.
    #[error("{file} has no server {name:?}; it has {known}")]
    Unknown {
        /// The file.
        file: String,
        /// What was looked for.
        name: String,
        /// The names that there are.
        known: String,
    },
}

/// A place in a file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    file: String,
    path: String,
}

impl Place {
    pub(crate) fn top(file: &str) -> Self {
        Self { file: file.to_owned(), path: String::new() }
    }

    /// A place below this one.
    pub(crate) fn at(&self, name: impl fmt::Display) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { file: self.file.clone(), path: format!("{}{dot}{name}", self.path) }
    }

    pub(crate) fn error(&self, reason: impl Into<String>) -> ConfigError {
        let place = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        // Names are shown as they are in the file, but cannot move the cursor.
        let place = place
            .chars()
            .flat_map(|char| if char.is_control() { char.escape_default().collect() } else { vec![char] });
        ConfigError::Value { file: self.file.clone(), place: place.collect(), reason: reason.into() }
    }
}
