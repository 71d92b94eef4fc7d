//! What was tried of one server, and how it went.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    duration,
    render::{
        Renderer,
        paint::Ink,
        plain,
        table::{Cell, Table},
    },
};

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    const fn ink(self) -> Ink {
        match self {
            Self::Passed => Ink::Green,
            Self::Failed => Ink::Red,
            Self::Skipped => Ink::Dim,
        }
    }
}

/// One thing that was tried, or left out.
pub(super) struct Step {
    what: String,
    outcome: Outcome,
    /// What came of it, or why it failed or was left out.
    detail: String,
    time: Option<Duration>,
}

/// All steps of one server.
pub(super) struct Report {
    server: String,
    steps: Vec<Step>,
}

impl Report {
    pub(super) fn new(server: &str) -> Self {
        Self { server: server.to_owned(), steps: Vec::new() }
    }

    /// What was tried: with what came of it, or why it failed.
    pub(super) fn tried(&mut self, what: impl Into<String>, time: Duration, result: Result<String, String>) {
        let (outcome, detail) = match result {
            Ok(detail) => (Outcome::Passed, detail),
            Err(detail) => (Outcome::Failed, detail),
        };
        self.steps.push(Step { what: what.into(), outcome, detail, time: Some(time) });
    }

    /// What was left out, and why.
    pub(super) fn skipped(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let (outcome, detail) = (Outcome::Skipped, why.into());
        self.steps.push(Step { what: what.into(), outcome, detail, time: None });
    }

    pub(super) fn passed(&self) -> bool {
        self.steps.iter().all(|step| step.outcome != Outcome::Failed)
    }

    pub(super) fn show(&self, renderer: &Renderer) -> String {
        let mut table = Table::new(["test", "outcome", "time", "detail"]);
        for step in &self.steps {
            table.row([
                Cell::new(plain::visible_line(&step.what), Ink::Plain),
                Cell::new(step.outcome.word(), step.outcome.ink()),
                Cell::new(step.time.map(duration::show).unwrap_or_default(), Ink::Dim),
                Cell::new(plain::visible_line(&renderer.hide(&step.detail)), Ink::Plain),
            ]);
        }
        let name = renderer.ink(Ink::Bold, &plain::visible_line(&self.server));
        format!("{name}\n{}", table.show(renderer.width, renderer.color))
    }

    pub(super) fn document(&self, renderer: &Renderer) -> Value {
        let step = |step: &Step| {
            json!({
                "test": step.what, "outcome": step.outcome.word(), "detail": renderer.hide(&step.detail),
                "seconds": step.time.map(|time| time.as_secs_f64()),
            })
        };
        let steps: Vec<_> = self.steps.iter().map(step).collect();
        json!({"server": self.server, "passed": self.passed(), "tests": steps})
    }
}

/// Passed, failed, skipped.
pub(super) fn counts(reports: &[Report]) -> (usize, usize, usize) {
    let steps = || reports.iter().flat_map(|report| &report.steps);
    let count = |outcome| steps().filter(|step| step.outcome == outcome).count();
    (count(Outcome::Passed), count(Outcome::Failed), count(Outcome::Skipped))
}

pub(super) fn summary(renderer: &Renderer, (passed, failed, skipped): (usize, usize, usize)) -> String {
    let ink = if failed == 0 { Ink::Green } else { Ink::Red };
    renderer.ink(ink, &format!("{passed} passed, {failed} failed, {skipped} skipped"))
}
