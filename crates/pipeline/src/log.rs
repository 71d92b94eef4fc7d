//! What a run did.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Calls that the log has from the beginning of a run, and from its end.
const MOST_ENTRIES: usize = 500;

/// Characters of an error in the log.
const MOST_ERROR_CHARS: usize = 500;

/// What one call of a stage did.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The stage's name.
    pub stage: String,
    /// The item of `for_each` that it was for, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// The tool.
    pub tool: String,
    /// How long it took, in milliseconds; 0 when the result was known from before.
    pub duration_ms: u64,
    /// Whether the tool gave a result that is no error.
    pub success: bool,
    /// Size of the arguments as JSON; 0 when they could not be made, so that the tool was not called.
    pub input_bytes: usize,
    /// Size of the result as JSON.
    pub output_bytes: usize,
    /// Whether the result is one of before a crash: the tool was not called again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a run came to: the structured content of the tool's result.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// By which it can be resumed; `None` when the input was refused, and nothing begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// What it came to; `null` when it failed.
    pub result: Value,
    /// The calls in the order in which they ended; of more than 1 000, the first and the last 500.
    pub execution_log: Vec<Entry>,
    /// Calls that the log leaves out.
    #[serde(skip_serializing_if = "is_zero")]
    pub log_entries_left_out: usize,
    /// How long all of it took, in milliseconds.
    pub total_duration_ms: u64,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What kind of error that is, such as `TIMEOUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<&'static str>,
    /// Whether the run is not over, so that it can be resumed.
    #[serde(skip)]
    pub is_resumable: bool,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The JSON schema of a [`Report`].
pub(crate) fn schema() -> Value {
    let count = json!({"type": "integer", "minimum": 0});
    json!({
        "type": "object",
        "properties": {
            "run_id": {"type": "string", "description": "By which the run can be resumed"},
            "result": {"description": "What the run came to; null when it failed"},
            "execution_log": {
                "type": "array",
                "description": "The calls in the order in which they ended; of more than 1000, the first and the last 500",
                "items": {
                    "type": "object",
                    "properties": {
                        "stage": {"type": "string"},
                        "item": count,
                        "tool": {"type": "string"},
                        "duration_ms": count,
                        "success": {"type": "boolean"},
                        "input_bytes": count,
                        "output_bytes": count,
                        "resumed": {"type": "boolean", "description": "Known from before: not called again"},
                        "error": {"type": "string"},
                    },
                    "required": ["stage", "tool", "duration_ms", "success", "input_bytes", "output_bytes"],
                },
            },
            "log_entries_left_out": count,
            "total_duration_ms": count,
            "error": {"type": "string", "description": "Why the run failed"},
            "error_code": {"type": "string", "description": "What kind of error that is"},
        },
        "required": ["result", "execution_log", "total_duration_ms"],
    })
}

/// The calls of a run, while it goes on.
#[derive(Default)]
pub(crate) struct Log(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    first: Vec<Entry>,
    last: VecDeque<Entry>,
    left_out: usize,
}

/// The calls of a run that has ended.
#[derive(Default)]
pub(crate) struct Logged {
    pub(crate) entries: Vec<Entry>,
    pub(crate) left_out: usize,
}

impl Log {
    /// A call that was not made, or whose result is known.
    pub(crate) fn add(&self, mut entry: Entry) {
        entry.error = entry.error.map(|error| cut(error, MOST_ERROR_CHARS));
        let mut entries = self.entries();
        if entries.first.len() < MOST_ENTRIES {
            entries.first.push(entry);
            return;
        }
        if entries.last.len() == MOST_ENTRIES {
            entries.last.pop_front();
            entries.left_out += 1;
        }
        entries.last.push_back(entry);
    }

    /// A call begins now.
    pub(crate) fn begin(&self, entry: Entry) -> Underway<'_> {
        Underway { log: self, entry: Some(entry), since: Instant::now() }
    }

    pub(crate) fn into_logged(self) -> Logged {
        let Entries { first, last, left_out } = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        Logged { entries: first.into_iter().chain(last).collect(), left_out }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text, or so many characters of it.
pub(crate) fn cut(mut text: String, most_chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most_chars) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A call that goes on. One that is dropped was cut off, and is in the log all the same.
pub(crate) struct Underway<'l> {
    log: &'l Log,
    entry: Option<Entry>,
    since: Instant,
}

impl Underway<'_> {
    /// The call ends now, with a result of this size or an error; how long it took, in milliseconds.
    pub(crate) fn ended(mut self, output_bytes: usize, error: Option<&str>) -> u64 {
        let duration_ms = milliseconds_since(self.since);
        if let Some(entry) = self.entry.take() {
            let (success, error) = (error.is_none(), error.map(str::to_owned));
            self.log.add(Entry { duration_ms, success, output_bytes, error, ..entry });
        }
        duration_ms
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let error = Some("cancelled: the run ended before it".to_owned());
            self.log.add(Entry { duration_ms: milliseconds_since(self.since), error, ..entry });
        }
    }
}

pub(crate) fn milliseconds_since(instant: Instant) -> u64 {
    u64::try_from(instant.elapsed().as_millis()).unwrap_or(u64::MAX)
}
