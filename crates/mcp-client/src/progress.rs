//! How far a call has come: a line that is written over at a terminal, lines of JSON for scripts.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::json;
use upstream::Progress;

use crate::{
    commands::call::Hearer,
    output::{Output, with_server},
    render::plain,
};

/// A terminal needs no more than this.
const BETWEEN: Duration = Duration::from_millis(50);
const BAR: usize = 24;

/// A line on standard error. It is wiped out when this is dropped.
pub(crate) struct Line(Option<Arc<Mutex<State>>>);

struct State {
    what: String,
    terminal: bool,
    drawn: Option<Instant>,
}

impl Line {
    /// On a terminal; elsewhere only if it is `forced`, each report on its own line.
    pub(crate) fn on_stderr(what: &str, forced: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let state = State { what: plain::visible_line(what).into_owned(), terminal, drawn: None };
        Self((terminal || forced).then(|| Arc::new(Mutex::new(state))))
    }

    pub(crate) fn hearer(&self) -> Option<Hearer> {
        let state = self.0.clone()?;
        Some(Arc::new(move |progress| state.lock().unwrap_or_else(PoisonError::into_inner).draw(&progress)))
    }
}

impl State {
    fn draw(&mut self, progress: &Progress) {
        let now = Instant::now();
        if self.terminal && self.drawn.is_some_and(|drawn| now - drawn < BETWEEN) {
            return;
        }
        self.drawn = Some(now);
        let line = format!("{} {}", self.what, show(progress));
        let mut out = io::stderr().lock();
        // Nobody can be told that standard error is gone.
        let _ = if self.terminal {
            let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
            write!(out, "\r\x1b[K{}", plain::shorten(&line, width.saturating_sub(1)))
        } else {
            writeln!(out, "{line}")
        };
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let drawn = self.0.as_ref().is_some_and(|state| {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.terminal && state.drawn.is_some()
        });
        if drawn {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// `█████░░░░░ 50% downloading`, or `5 downloading` when the end is not known.
fn show(progress: &Progress) -> String {
    let message = progress.message.as_deref().map(|text| format!(" {}", plain::visible_line(text)));
    let message = message.unwrap_or_default();
    match progress.total.filter(|total| *total > 0.0) {
        Some(total) => {
            let share = (progress.progress / total).clamp(0.0, 1.0);
            let full = (share * BAR as f64).round() as usize;
            format!("{}{} {:.0}%{message}", "█".repeat(full), "░".repeat(BAR - full), share * 100.0)
        }
        None => format!("{}{message}", progress.progress),
    }
}

/// Lines of JSON on standard output.
pub(crate) struct Events {
    output: Output,
    server: String,
    tool: String,
}

impl Events {
    pub(crate) fn new(output: Output, server: &str, tool: &str) -> Self {
        Self { output, server: server.to_owned(), tool: tool.to_owned() }
    }

    /// `{"server": …, "tool": …, "progress": {"progress": 1.0, "total": 2.0, "message": …}}`
    pub(crate) fn hearer(&self) -> Hearer {
        let (output, server, tool) = (self.output.clone(), self.server.clone(), self.tool.clone());
        Arc::new(move |Progress { progress, total, message }| {
            let progress = json!({"progress": progress, "total": total, "message": message});
            // That nobody reads shows when the result is written.
            let _ =
                output.document(&with_server(&server, json!({"tool": tool}), json!({"progress": progress})));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_bar_when_its_end_is_known() {
        let progress = |progress, total| Progress { progress, total, message: Some("x\x1b".to_owned()) };
        assert_eq!(show(&progress(1.0, Some(2.0))), "████████████░░░░░░░░░░░░ 50% x\\x1b");
        assert_eq!(show(&progress(7.0, None)), "7 x\\x1b");
        assert_eq!(show(&progress(7.0, Some(0.0))), "7 x\\x1b");
    }
}
