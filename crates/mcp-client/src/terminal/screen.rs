//! Where everything is shown: results, and above the line that is being edited whatever happens meanwhile.

use std::{
    io::{self, Write},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use unicode_width::UnicodeWidthChar as _;

/// Most notices in [`WINDOW`]; the rest is counted.
const MOST_NOTICES: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);

/// What people see. Everything that is written goes through it, so that nothing tears the line that is being edited.
#[derive(Default)]
pub(crate) struct Screen {
    inner: Mutex<Inner>,
    hide: OnceLock<Hide>,
}

/// Takes secrets out of a text.
type Hide = Box<dyn Fn(&str) -> String + Send + Sync>;

#[derive(Debug, Default)]
struct Inner {
    /// Notices may be shown among the results: somebody looks at a terminal. Else they go to standard error.
    interactive: bool,
    /// The terminal cannot move its cursor: nothing is drawn anew.
    plain: bool,
    /// The line that is being edited.
    editing: Option<Line>,
    /// The line at the bottom that says how far a call is.
    progress: Option<String>,
    /// That line only says that something takes long.
    waits: bool,
    notices: Notices,
    /// Nobody reads any more.
    closed: bool,
    /// What a test would see.
    #[cfg(test)]
    recorded: Option<String>,
}

/// A line while it is being edited.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    /// As it is shown, with colours.
    pub(super) prompt: String,
    /// Columns of the prompt.
    pub(super) prompt_width: usize,
    /// What was written.
    pub(super) text: String,
    /// As it is shown, with colours.
    pub(super) shown: String,
    /// Where the cursor is, in bytes of the text.
    pub(super) cursor: usize,
}

/// How many notices there were lately.
#[derive(Debug, Default)]
struct Notices {
    since: Option<Instant>,
    shown: u32,
    left_out: u64,
}

impl Screen {
    /// From now on somebody looks at a terminal.
    pub(crate) fn set_interactive(&self) {
        self.inner().interactive = true;
    }

    /// The terminal can do nothing but print.
    pub(crate) fn set_plain(&self) {
        self.inner().plain = true;
    }

    /// Whether somebody looks at a terminal.
    pub(super) fn is_interactive(&self) -> bool {
        self.inner().interactive
    }

    /// What nobody asked for is shown only after `hide` has taken secrets out of it. Only the first one that is set does.
    pub(crate) fn hide_with(&self, hide: impl Fn(&str) -> String + Send + Sync + 'static) {
        let _ = self.hide.set(Box::new(hide));
    }

    /// Shows a result, and ends its last line.
    pub(crate) fn print(&self, text: &str) {
        self.inner().above(text, false);
    }

    /// Shows something that nobody asked for. It is left out when there are too many of them.
    pub(crate) fn notice(&self, text: &str) {
        let text = &self.hide.get().map_or_else(|| text.to_owned(), |hide| hide(text));
        let mut inner = self.inner();
        match inner.notices.count(Instant::now()) {
            None => {}
            Some(0) => inner.above(text, true),
            Some(left_out) => inner.above(&format!("({left_out} notices were left out)\n{text}"), true),
        }
    }

    /// Shows something about what is being done: it is never left out, and is no result.
    pub(crate) fn remark(&self, text: &str) {
        self.inner().above(text, true);
    }

    /// Shows how far a call is in the last line, until it is taken away.
    pub(crate) fn progress(&self, line: Option<String>) {
        let mut inner = self.inner();
        if !inner.interactive || inner.plain || (inner.progress.is_none() && line.is_none()) {
            return;
        }
        (inner.progress, inner.waits) = (line, false);
        let shown = inner.progress.clone().unwrap_or_default();
        if inner.editing.is_none() {
            inner.write(&format!("\r\x1b[K{shown}"), false);
        }
    }

    /// Shows that something takes long, unless something better is shown.
    pub(crate) fn waiting(&self, line: String) {
        self.progress(Some(line));
        self.inner().waits = true;
    }

    /// Whether it is shown how far a call is.
    pub(crate) fn shows_progress(&self) -> bool {
        let inner = self.inner();
        inner.progress.is_some() && !inner.waits
    }

    /// The program ends while a line is being edited: the next one that writes begins on a line of its own.
    pub(crate) fn leave(&self) {
        let mut inner = self.inner();
        if inner.editing.take().is_some() {
            let aside = !inner.interactive;
            inner.write("\x1b[?2004l\n", aside);
        }
    }

    /// Columns of the terminal, which may change at any time.
    pub(crate) fn columns() -> usize {
        terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0).max(1))
    }

    /// Whether whoever read the results has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.inner().closed
    }

    pub(super) fn edit(&self, line: Option<Line>) {
        let mut inner = self.inner();
        if inner.editing.is_none() && line.is_some() && inner.progress.take().is_some() {
            inner.write("\r\x1b[K", false);
        }
        inner.editing = line;
    }

    pub(super) fn edited(&self, change: impl FnOnce(&mut Line)) {
        if let Some(line) = &mut self.inner().editing {
            change(line);
        }
    }

    /// Shows nothing, and remembers all of it.
    #[cfg(test)]
    pub(crate) fn record(&self) {
        self.inner().recorded = Some(String::new());
    }

    /// What was recorded since this was asked last.
    #[cfg(test)]
    pub(crate) fn recorded(&self) -> String {
        self.inner().recorded.replace(String::new()).unwrap_or_default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn above(&mut self, text: &str, aside: bool) {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let (before, after) = if !self.interactive || self.plain {
            (String::new(), String::new())
        } else if let Some(line) = &self.editing {
            line.around(Screen::columns())
        } else if let Some(progress) = &self.progress {
            ("\r\x1b[K".to_owned(), progress.clone())
        } else {
            (String::new(), String::new())
        };
        self.write(&format!("{before}{text}{end}{after}"), aside && !self.interactive);
    }

    fn write(&mut self, text: &str, aside: bool) {
        #[cfg(test)]
        if let Some(recorded) = &mut self.recorded {
            return recorded.push_str(text);
        }
        let result = if aside { put(io::stderr().lock(), text) } else { put(io::stdout().lock(), text) };
        // Standard error is not needed for anything else.
        self.closed |= result.is_err() && !aside;
    }
}

fn put(mut out: impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

impl Line {
    /// What takes the line away, and what puts it back with the cursor in its place.
    fn around(&self, columns: usize) -> (String, String) {
        let start = (0, self.prompt_width);
        let cursor = position(start, self.text.get(..self.cursor).unwrap_or(&self.text), columns);
        let end = position(start, &self.text, columns);
        let before = format!("{}\r\x1b[J", up(cursor.0));
        let column = if cursor.1 > 0 { format!("\r\x1b[{}C", cursor.1) } else { "\r".to_owned() };
        let wrapped = if end.1 == 0 && end.0 > 0 && !self.text.ends_with('\n') { "\n" } else { "" };
        (before, format!("{}{}{wrapped}{}{column}", self.prompt, self.shown, up(end.0 - cursor.0)))
    }
}

fn up(rows: usize) -> String {
    if rows > 0 { format!("\x1b[{rows}A") } else { String::new() }
}

/// Row and column after `text`, which starts at `from`.
fn position(from: (usize, usize), text: &str, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (from.0 + from.1 / columns, from.1 % columns);
    for c in text.chars() {
        if c == '\n' {
            (row, column) = (row + 1, 0);
            continue;
        }
        let wide = c.width().unwrap_or(0);
        if column + wide > columns {
            (row, column) = (row + 1, 0);
        }
        column += wide;
    }
    if column == columns { (row + 1, 0) } else { (row, column) }
}

impl Notices {
    /// How many were left out before this one, which is to be shown; `None` when it is not.
    fn count(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            self.since = Some(now);
            self.shown = 0;
        }
        if self.shown >= MOST_NOTICES {
            self.left_out += 1;
            return None;
        }
        self.shown += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, cursor: usize) -> Line {
        Line { prompt: "> ".into(), prompt_width: 2, text: text.into(), shown: text.into(), cursor }
    }

    #[test]
    fn a_line_is_put_back_with_the_cursor_where_it_was() {
        let (before, after) = line("tools", 2).around(80);
        assert_eq!(before, "\r\x1b[J");
        assert_eq!(after, "> tools\r\x1b[4C");
    }

    #[test]
    fn a_line_over_several_rows_is_taken_away_whole() {
        let (before, after) = line("0123456789abc", 9).around(10);
        assert_eq!(before, "\x1b[1A\r\x1b[J");
        assert_eq!(after, "> 0123456789abc\r\x1b[1C");
        let (before, after) = line("{\n1\n}", 1).around(80);
        assert_eq!(before, "\r\x1b[J");
        assert_eq!(after, "> {\n1\n}\x1b[2A\r\x1b[3C");
    }

    #[test]
    fn a_full_row_and_wide_characters_move_the_cursor_as_terminals_do() {
        assert_eq!(position((0, 2), "12345678", 10), (1, 0));
        assert_eq!(position((0, 2), "1234567漢", 10), (1, 2));
        assert_eq!(position((0, 2), "e\u{301}", 10), (0, 3));
    }

    #[test]
    fn a_flood_of_notices_is_counted_instead_of_shown() {
        let (mut notices, now) = (Notices::default(), Instant::now());
        let shown = (0..1000).filter(|_| notices.count(now).is_some()).count();
        assert_eq!(shown, 50);
        assert_eq!(notices.count(now + WINDOW), Some(950));
        assert_eq!(notices.count(now + WINDOW), Some(0));
    }
}
