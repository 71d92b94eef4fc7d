//! The last lines of a child's standard error.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

const MAX_LINES: usize = 64;
/// All lines together.
const MAX_BYTES: usize = 16 << 10;
/// What is beyond of one line is left out.
const MAX_LINE: usize = 1 << 10;

/// The last lines, at most 64 and 16 KiB. Clones are the same tail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    whole: VecDeque<String>,
    bytes: usize,
    /// The line that is being written.
    last: Vec<u8>,
}

impl Tail {
    /// Reads to the end, so that the child never waits for a reader.
    pub(crate) async fn read(&self, mut stderr: impl AsyncRead + Unpin) {
        let mut chunk = [0; 4 << 10];
        while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).take(&chunk[..length]);
        }
    }

    /// The lines so far, the one that is being written included.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.whole.iter().cloned().chain(printable(&lines.last)).collect()
    }
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            let room = MAX_LINE - self.last.len();
            self.last.extend_from_slice(&text[..text.len().min(room)]);
            if ends && let Some(line) = printable(&std::mem::take(&mut self.last)) {
                self.push(line);
            }
        }
    }

    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.whole.push_back(line);
        while self.whole.len() > MAX_LINES || self.bytes > MAX_BYTES {
            self.bytes -= self.whole.pop_front().map_or(self.bytes, |line| line.len());
        }
    }
}

/// The line without what could move a terminal's cursor or colour it; `None` when nothing is left.
fn printable(line: &[u8]) -> Option<String> {
    let line: String = String::from_utf8_lossy(line).chars().filter(|char| !char.is_control()).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tail(text: &str) -> Vec<String> {
        let tail = Tail::default();
        tail.read(text.as_bytes()).await;
        tail.lines()
    }

    #[tokio::test]
    async fn the_last_lines_are_kept_within_both_bounds() {
        let many: String = (1..=100).map(|number| format!("line {number}\n")).collect();
        let lines = tail(&many).await;
        assert_eq!((lines.len(), &*lines[0], &*lines[63]), (64, "line 37", "line 100"));

        let long = format!("{}\n", "x".repeat(5_000)).repeat(20);
        let lines = tail(&long).await;
        assert_eq!(lines.len(), 16);
        assert!(lines.iter().all(|line| line.len() == 1 << 10));
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_shown_and_what_moves_the_cursor_is_not() {
        assert_eq!(tail("one\r\n\n\x1b[2Jtwo").await, ["one", "[2Jtwo"]);
    }
}
