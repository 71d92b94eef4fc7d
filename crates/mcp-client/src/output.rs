//! Standard output for results, standard error for everything else.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Exit,
    render::{Failure, Renderer},
};

/// Why a command ends before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something went wrong, with this server if it is about one.
    Failed(Option<String>, Box<Failure>),
    /// Nobody reads standard output any more.
    Closed,
}

impl Stop {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::usage(message).into()
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(None, Box::new(failure))
    }
}

/// Where results go, and how they look.
#[derive(Clone)]
pub(crate) struct Output {
    /// One JSON document, or one per line.
    pub(crate) json: bool,
    /// How people see them.
    pub(crate) renderer: Renderer,
}

impl Output {
    /// A result. The text is shown as it is.
    pub(crate) fn text(&self, text: &str) -> Result<(), Stop> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// A result, as one line of JSON.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), Stop> {
        // Maps with texts as names, and nothing else that JSON does not have.
        let text = serde_json::to_string(value).unwrap_or_default();
        self.text(&text)
    }

    /// A result, unchanged. One write: results of several servers do not mix.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Stop> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|_| Stop::Closed)
    }

    /// Something for the person at the terminal. Nothing is done about it if nobody can be told.
    pub(crate) fn say(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// What went wrong with a server: said, and with `--json` also a result. The exit that it leads to.
    pub(crate) fn failure(&self, server: &str, failure: &Failure, about: Value) -> Result<Exit, Stop> {
        self.say(&self.renderer.failure(server, failure));
        if self.json {
            self.document(&self.failed(server, failure, about))?;
        }
        Ok(failure.exit)
    }

    /// `{"server": …, …about, "error": {…}}`
    pub(crate) fn failed(&self, server: &str, failure: &Failure, about: Value) -> Value {
        with_server(server, about, json!({"error": self.hidden(failure)}))
    }

    fn hidden(&self, failure: &Failure) -> Failure {
        let mut failure = failure.clone();
        failure.message = self.renderer.hide(&failure.message);
        failure.hint = failure.hint.map(|hint| self.renderer.hide(&hint));
        failure.data = failure.data.map(|data| self.renderer.hide_in(data));
        failure
    }

    /// How a command ends that was stopped.
    pub(crate) fn stopped(&self, stop: Stop) -> Exit {
        match stop {
            // As programs do that know nothing of this signal.
            Stop::Closed => Exit::Success,
            Stop::Failed(Some(server), failure) => {
                self.failure(&server, &failure, json!({})).unwrap_or(failure.exit)
            }
            Stop::Failed(None, failure) => {
                self.say(&self.renderer.problem(&self.renderer.hide(&failure.message)));
                if let Some(hint) = failure.hint.as_deref().map(|hint| self.renderer.hide(hint)) {
                    self.say(&self.renderer.note(&format!("       {hint}")));
                }
                if self.json {
                    let _ = self.document(&json!({"error": self.hidden(&failure)})); // nobody may be left to read it
                }
                failure.exit
            }
        }
    }
}

/// `{"server": …, …about, …outcome}`
pub(crate) fn with_server(server: &str, about: Value, outcome: Value) -> Value {
    let mut all = serde_json::Map::from_iter([("server".to_owned(), Value::from(server))]);
    for part in [about, outcome] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    Value::Object(all)
}

/// Columns of the terminal; of a file or a pipe as many as there are, so that every row is one line.
pub(crate) fn width() -> usize {
    if !io::stdout().is_terminal() {
        return 10_000;
    }
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0).clamp(20, 1_000))
}
