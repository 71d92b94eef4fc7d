//! A program in a pseudo-terminal, as the person in front of it sees and uses it.

use std::{
    io::{Read as _, Write as _},
    process::{Child, ExitStatus},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use e2e::programs::PATIENCE;
use pty_process::{
    Size,
    blocking::{Command, Pty, open},
};
use vt100::{Callbacks, Parser};

/// A tall screen: nothing that a session writes is ever scrolled out of it.
const ROWS: u16 = 1000;
const COLUMNS: u16 = 120;

/// Keys that are no characters.
pub const TAB: &str = "\t";
pub const ENTER: &str = "\r";
pub const UP: &str = "\x1b[A";
pub const CONTROL_A: &str = "\x01";
pub const CONTROL_C: &str = "\x03";
pub const CONTROL_D: &str = "\x04";
pub const CONTROL_K: &str = "\x0b";
pub const CONTROL_R: &str = "\x12";

/// A program in a terminal. Dropping it kills it.
pub struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    view: Arc<View>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct View {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: Parser<Answers>,
    raw: Vec<u8>,
    open: bool,
}

impl Default for State {
    fn default() -> Self {
        let size = |length: u16| length.try_into().expect("it is not zero");
        Self {
            parser: Parser::new_with_callbacks(size(ROWS), size(COLUMNS), 0, Answers::default()),
            raw: Vec::new(),
            open: true,
        }
    }
}

/// What a terminal says when a program asks it.
#[derive(Default)]
struct Answers(Vec<u8>);

impl Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        first: Option<u8>,
        _: Option<u8>,
        params: &[&[u16]],
        action: char,
    ) {
        match (first, action, params) {
            (None, 'n', [[6]]) => {
                let (row, column) = screen.cursor_position();
                self.0.extend(format!("\x1b[{};{}R", row + 1, column + 1).bytes());
            }
            (None, 'c', _) => self.0.extend(b"\x1b[?1;2c"),
            _ => {}
        }
    }
}

/// A place on the screen: what is below it came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u16);

impl Place {
    pub const TOP: Self = Self(0);

    /// The line below.
    pub fn below(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Terminal {
    /// Runs a command in a terminal of its own.
    pub fn run(command: std::process::Command) -> anyhow::Result<Self> {
        let (pty, pts) = open()?;
        pty.resize(Size::new(ROWS, COLUMNS))?;
        let child = Command::from(command).env("TERM", "xterm-256color").spawn(pts)?;
        let (pty, view) = (Arc::new(pty), Arc::new(View::default()));
        let (reading, seen) = (pty.clone(), view.clone());
        let reader = std::thread::spawn(move || seen.follow(&reading));
        Ok(Self { pty, child, view, reader: Some(reader) })
    }

    /// Sends a signal to all that run in it and have not left its group.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let group = format!("-{}", self.child.id());
        let status = std::process::Command::new("kill").args(["-s", name, "--", &group]).status()?;
        anyhow::ensure!(status.success(), "{name} could not be sent: {status}");
        Ok(())
    }

    /// Types text, or presses keys.
    pub fn type_in(&self, text: &str) -> anyhow::Result<()> {
        (&*self.pty).write_all(text.as_bytes()).context("the terminal is gone")
    }

    /// The line that the cursor is in.
    pub fn place(&self) -> Place {
        Place(self.view.state().parser.screen().cursor_position().0)
    }

    /// Everything on the screen.
    pub fn screen(&self) -> String {
        self.view.state().text_from(Place::TOP)
    }

    /// Everything that the program wrote, with all its control characters.
    pub fn raw(&self) -> Vec<u8> {
        self.view.state().raw.clone()
    }

    /// Waits until `text` is on the screen.
    pub fn wait_for(&self, text: &str) -> anyhow::Result<()> {
        self.wait_below(Place::TOP, text)
    }

    /// Waits until `text` is on the screen at `place` or below it.
    pub fn wait_below(&self, place: Place, text: &str) -> anyhow::Result<()> {
        self.wait(|state| state.text_from(place).contains(text).then_some(()))
            .with_context(|| format!("`{text}` did not appear"))
    }

    /// Waits until what stands before the cursor in its line is `text`, below `place`.
    pub fn wait_for_line(&self, place: Place, text: &str) -> anyhow::Result<()> {
        let found = |state: &State| {
            let (row, _) = state.parser.screen().cursor_position();
            (row >= place.0 && state.before_cursor() == text).then_some(())
        };
        self.wait(found).with_context(|| format!("the cursor's line is not `{text}`"))
    }

    /// What is on the screen from `place` on.
    pub fn text_from(&self, place: Place) -> String {
        self.view.state().text_from(place)
    }

    /// Waits until the program has ended, and tells how.
    pub fn wait_for_the_end(&mut self) -> anyhow::Result<ExitStatus> {
        self.wait(|state| (!state.open).then_some(())).context("the program did not end")?;
        Ok(self.child.wait()?)
    }

    fn wait<T>(&self, found: impl Fn(&State) -> Option<T>) -> anyhow::Result<T> {
        let started = Instant::now();
        let mut state = self.view.state();
        loop {
            if let Some(found) = found(&state) {
                return Ok(found);
            }
            if started.elapsed() > PATIENCE || !state.open {
                bail!("the screen shows:\n{}", state.text_from(Place::TOP));
            }
            let waited = self.view.changed.wait_timeout(state, Duration::from_secs(1));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl View {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what the program writes, and answers what it asks, until every process has closed the terminal.
    fn follow(&self, mut pty: &Pty) {
        let mut bytes = [0; 4096];
        // Linux calls the end an error.
        while let Ok(length @ 1..) = pty.read(&mut bytes) {
            let mut state = self.state();
            state.raw.extend(&bytes[..length]);
            state.parser.process(&bytes[..length]);
            let answers = std::mem::take(&mut state.parser.callbacks_mut().0);
            drop(state);
            self.changed.notify_all();
            // A program that has ended wants no answer.
            let _ = pty.write_all(&answers);
        }
        self.state().open = false;
        self.changed.notify_all();
    }
}

impl State {
    fn text_from(&self, place: Place) -> String {
        let rows: Vec<String> = self.parser.screen().rows(0, COLUMNS).skip(place.0.into()).collect();
        rows.iter().map(|row| row.trim_end()).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    fn before_cursor(&self) -> String {
        let screen = self.parser.screen();
        let (row, column) = screen.cursor_position();
        screen.rows(0, column).nth(row.into()).unwrap_or_default().trim_end().to_owned()
    }
}
